#include "replay/model.h"

#include "base/mem.h"

static gn_status train_dictionary(replay_model *model, int level, const unsigned char *record,
                                  size_t n, size_t record_size)
{
    size_t *sizes, size = 0;
    unsigned char *bytes = NULL;
    GN_TRY(gn_alloc(&sizes, n, sizeof *sizes));
    for (size_t i = 0; i < n; i++)
        sizes[i] = record_size;
    gn_status status = gn_alloc(&bytes, REPLAY_DICTIONARY_SIZE_MAX, 1);
    if (status == GN_OK)
        status = gn_dictionary_train(record, sizes, n, bytes, REPLAY_DICTIONARY_SIZE_MAX, &size);
    if (status == GN_OK)
        status = gn_dictionary_create(&model->dictionary, bytes, size, level);
    gn_free(&sizes);
    gn_free(&bytes);
    return status == GN_ERR_EMPTY ? GN_OK : status;
}

gn_status replay_model_train(replay_model **ret_model, replay_model_kind kind, int level,
                             const unsigned char *record, size_t n, size_t record_size)
{
    replay_model *model;
    GN_TRY(gn_alloc(&model, 1, sizeof *model));
    gn_status status = kind == REPLAY_MODEL_BOOK
                           ? patch_book_train(&model->book, record, n, record_size)
                           : train_dictionary(model, level, record, n, record_size);
    if (status != GN_OK || (!model->dictionary && !model->book))
        replay_model_destroy(&model);
    if (status == GN_OK)
        *ret_model = model;
    return status;
}

gn_status replay_model_create(replay_model **ret_model, const void *bytes, size_t size, int level)
{
    replay_model *model;
    GN_TRY(gn_alloc(&model, 1, sizeof *model));
    gn_status status = patch_book_is(bytes, size)
                           ? patch_book_create(&model->book, bytes, size)
                           : gn_dictionary_create(&model->dictionary, bytes, size, level);
    if (status != GN_OK)
        replay_model_destroy(&model);
    else
        *ret_model = model;
    return status;
}

void replay_model_destroy(replay_model **model)
{
    if (*model == NULL)
        return;
    gn_dictionary_destroy(&(*model)->dictionary);
    patch_book_destroy(&(*model)->book);
    gn_free(model);
}

const void *replay_model_bytes(const replay_model *model, size_t *ret_size)
{
    return model->book ? patch_book_bytes(model->book, ret_size)
                       : gn_dictionary_bytes(model->dictionary, ret_size);
}

gn_status replay_model_pack(const replay_model *model, void **ret_bytes, size_t *ret_size)
{
    size_t size;
    const void *bytes = replay_model_bytes(model, &size);
    return gn_pack(bytes, size, ret_bytes, ret_size);
}

gn_status replay_model_unpack(replay_model **ret_model, const void *packed, size_t size, int level)
{
    void *bytes;
    size_t whole;
    GN_TRY(gn_unpack(packed, size, &bytes, &whole));
    gn_status status = replay_model_create(ret_model, bytes, whole, level);
    gn_free(&bytes);
    return status;
}
