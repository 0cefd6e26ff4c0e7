"""The fast functions of `conv`, by all the names that cs231n has for its fast ones."""

import conv

conv_forward_fast = conv_forward_im2col = conv_forward_strides = conv.conv_forward
conv_backward_fast = conv_backward_im2col = conv_backward_strides = conv.conv_backward
max_pool_forward_fast = max_pool_forward_im2col = max_pool_forward_reshape = conv.max_pool_forward
max_pool_backward_fast = max_pool_backward_im2col = conv.max_pool_backward
max_pool_backward_reshape = conv.max_pool_backward
