// Encoders: what turns an observation into the features that the hidden layers work on. A row of
// nn_encoders appends layers (nn/layer.h); a new encoder is a row and its layers.

#ifndef NN_ENCODER_H
#define NN_ENCODER_H

#include "nn/layout.h"

typedef struct nn_encoder {
    const char *name; // as in network.encoder
    // Errors: GN_ERR_CONFIG: it cannot see observations like these.
    gn_status (*append)(nn_layout *layout);
} nn_encoder;

// Ends with {0}.
extern const nn_encoder nn_encoders[];
extern const char *const nn_encoder_names[]; // ends with NULL

#endif
