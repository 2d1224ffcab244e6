// Marks a function of a header as code of both sides: an inline function of C, and under nvcc one
// for host and device. One text then computes the same on both.
//
// GN_DEVICE_UNROLL before a loop has nvcc unroll it whole: only then arrays stay in registers.

#ifndef BASE_DEVICE_CODE_H
#define BASE_DEVICE_CODE_H

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

#endif
