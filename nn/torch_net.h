// Internal to nn/: the network of a layout, made of LibTorch's layers. The other implementation of
// nn/net.h, for devices.

#ifndef NN_TORCH_NET_H
#define NN_TORCH_NET_H

#include "nn/layout.h"
#include "shim/torch_network.h"

// Errors: GN_ERR_MEMORY, GN_ERR_BACKEND.
gn_status nn_torch_net_create(torch_network **ret_network, const nn_layout *layout, device on);

#endif
