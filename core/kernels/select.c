/* core/kernels/select.c - which set of inner loops this CPU runs; the only file that asks it. */
#include "core/kernels/kernels.h"

#include <stdbool.h>
#include <string.h>

typedef void use_fn(struct cb_kernels *);

/* Each set overwrites what it does better than those before it. */
static const struct {
    const char *name;
    use_fn *use, *use_quantised;
} sets[CB_ISA_COUNT] = {
    [CB_ISA_GENERIC] = { "generic", cb_kernels_use_scalar, cb_kernels_use_scalar_quantised },
#if defined(__x86_64__)
    [CB_ISA_AVX2] = { "avx2", cb_kernels_use_avx2, cb_kernels_use_avx2_quantised },
    [CB_ISA_AVX512] = { "avx512", cb_kernels_use_avx512, cb_kernels_use_avx512_quantised },
#else
    [CB_ISA_AVX2] = { "avx2", NULL, NULL },
    [CB_ISA_AVX512] = { "avx512", NULL, NULL },
#endif
};

/* __builtin_cpu_supports also checks that the system saves the registers. */
enum cb_isa cb_isa_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return CB_ISA_AVX512;
    if (avx2)
        return CB_ISA_AVX2;
#endif
    return CB_ISA_GENERIC;
}

/* A part of some CPUs with AVX-512; the set is chosen without asking for it. */
static bool has_vnni(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512vnni");
#else
    return false;
#endif
}

static void use_vnni(struct cb_kernels *kernels)
{
#if defined(__x86_64__)
    cb_kernels_use_vnni(kernels);
#else
    (void)kernels;
#endif
}

enum cb_isa cb_isa_find(const char *name)
{
    enum cb_isa isa = CB_ISA_GENERIC;
    while (isa < CB_ISA_COUNT && strcmp(sets[isa].name, name) != 0)
        isa++;
    return isa;
}

struct cb_kernels cb_kernels_for(enum cb_isa isa)
{
    const enum cb_isa best = cb_isa_best(), top = isa < best ? isa : best;
    struct cb_kernels kernels;
    for (enum cb_isa i = CB_ISA_GENERIC; i <= top; i++) {
        sets[i].use(&kernels);
        sets[i].use_quantised(&kernels);
    }
    if (top == CB_ISA_AVX512 && has_vnni())
        use_vnni(&kernels);
    kernels.name = sets[top].name;
    kernels.isa = top;
    return kernels;
}
