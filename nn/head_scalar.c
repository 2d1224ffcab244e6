// One output an action: the mean of its return, learned with the Huber loss of nn/loss.h.

#include <assert.h>

#include "nn/head_internal.h"
#include "nn/loss.h"

static size_t one(const nn_head_config *config)
{
    (void)config;
    return 1;
}

static size_t target_width(const nn_head *head, uint32_t actions)
{
    (void)head;
    (void)actions;
    return 1;
}

static void values(const nn_head *head, const float *out, size_t rows, size_t width,
                   const nn_risk *risk, double rescale, float *ret_value)
{
    (void)head;
    (void)risk;
    assert(width == 1);
    (void)width;
    for (size_t i = 0; i < rows; i++)
        ret_value[i] = (float)nn_output_to_return(out[i], rescale);
}

static void target(const nn_head *head, const nn_backup *backup, float *ret_target)
{
    (void)head;
    size_t row = 0;
    for (size_t i = 0; i < backup->n; i++) {
        double next = 0;
        for (uint32_t a = 0; a < backup->actions; a++, row++)
            if (backup->policy[row] != 0)
                next +=
                    backup->policy[row] * (nn_output_to_return(backup->out[row], backup->rescale) +
                                           nn_backup_bonus(backup, row));
        ret_target[i] = (float)nn_return_to_output(backup->reward[i] + backup->discount[i] * next,
                                                   backup->rescale);
    }
}

static double loss(const nn_head *head, const nn_head_batch *batch)
{
    assert(batch->width == 1 && batch->target_width == 1);
    return nn_huber_loss(batch->out, batch->target, batch->weight, batch->n,
                         head->config.huber_delta, batch->ret_error, batch->ret_grad);
}

const nn_head_class nn_head_scalar = { "scalar", false, one, target_width, values, target, loss };
