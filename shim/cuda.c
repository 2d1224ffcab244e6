// Opens libgannet_cuda.so. It is never closed: the CUDA runtime inside does not survive that.

#include "shim/cuda.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static gn_status load(const cuda_runtime **ret_cuda, const char *library)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle)
        return gn_fail(GN_ERR_UNSUPPORTED, "cuda: no library of CUDA code: %s", dlerror());
    const cuda_runtime *cuda = dlsym(handle, CUDA_RUNTIME);
    if (!cuda)
        return gn_fail(GN_ERR_UNSUPPORTED, "cuda: %s: is no library of Gannet", library);
    if (strcmp(cuda->version, GANNET_VERSION) != 0)
        return gn_fail(GN_ERR_UNSUPPORTED, "cuda: %s: is of version %s, not %s", library,
                       cuda->version, GANNET_VERSION);
    *ret_cuda = cuda;
    return GN_OK;
}

gn_status cuda_open(const cuda_runtime **ret_cuda, const char *library, int device)
{
    const cuda_runtime *cuda = NULL;
    GN_TRY(load(&cuda, library ? library : CUDA_LIBRARY));
    int devices = 0, error = cuda->count(&devices);
    if (error != 0)
        return gn_fail(GN_ERR_UNSUPPORTED, "cuda: no device: %s", cuda->text(error));
    if (device < 0 || device >= devices)
        return gn_fail(GN_ERR_UNSUPPORTED, "cuda:%d: no device: there are %d", device, devices);
    error = cuda->select(device);
    if (error != 0)
        return gn_fail(GN_ERR_UNSUPPORTED, "cuda:%d: %s", device, cuda->text(error));
    *ret_cuda = cuda;
    return GN_OK;
}

gn_status cuda_need(const cuda_runtime *cuda, int error, const char *what)
{
    if (error == 0)
        return GN_OK;
    return gn_fail(GN_ERR_BACKEND, "cuda: %s: %s", what, cuda->text(error));
}

bool cuda_parse_name(const char *name, int *ret_index)
{
    *ret_index = 0;
    if (strcmp(name, "cuda") == 0)
        return true;
    size_t digits = strncmp(name, "cuda:", 5) == 0 ? strspn(name + 5, "0123456789") : 0;
    if (digits == 0 || digits > 4 || name[5 + digits] != '\0')
        return false;
    *ret_index = atoi(name + 5);
    return true;
}
