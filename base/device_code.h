// Marks a function of a header as code of both sides: an inline function of C, and under nvcc one
// for host and device. One text then computes the same on both.
//
// GN_DEVICE_UNROLL before a loop has nvcc unroll it whole: only then arrays stay in registers.
//
// Below: words of memory that threads of a device share. On the host they are for one thread at a
// time, such as a test that emulates a device.

#ifndef BASE_DEVICE_CODE_H
#define BASE_DEVICE_CODE_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define GN_DEVICE static __host__ __device__ inline
#else
#define GN_DEVICE static inline
#endif

#ifdef __CUDA_ARCH__
#define GN_DEVICE_UNROLL _Pragma("unroll")
#else
#define GN_DEVICE_UNROLL
#endif

GN_DEVICE uint64_t gn_double_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

GN_DEVICE double gn_double_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// A store or load while others may do the same: of the whole word, not left to the cache.
GN_DEVICE void gn_device_store(double *at, double x)
{
    *(volatile double *)at = x;
}

GN_DEVICE uint64_t gn_device_load_bits(const double *at)
{
    return gn_double_bits(*(const volatile double *)at);
}

// *at = max(*at, bits) of the words' bits.
GN_DEVICE void gn_device_raise(double *at, uint64_t bits)
{
#ifdef __CUDA_ARCH__
    atomicMax((unsigned long long *)at, (unsigned long long)bits);
#else
    if (gn_double_bits(*at) < bits)
        memcpy(at, &bits, sizeof bits);
#endif
}

GN_DEVICE void gn_device_lower(uint64_t *at, uint64_t bits)
{
#ifdef __CUDA_ARCH__
    atomicMin((unsigned long long *)at, (unsigned long long)bits);
#else
    *at = *at < bits ? *at : bits;
#endif
}

#endif
