/* core/kernels/select.c - which set of inner loops this CPU runs; the only file that asks it. */
#include "core/kernels/kernels.h"

#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

typedef void use_fn(struct cb_kernels *);

#if defined(__x86_64__)
#define ON_X86(use) use
#else
#define ON_X86(use) NULL
#endif
#if defined(__aarch64__)
#define ON_AARCH64(use) use
#else
#define ON_AARCH64(use) NULL
#endif

/* Each set overwrites what it does better than those before it. NULL: of another processor. */
static const struct {
    const char *name;
    use_fn *use, *use_quantised;
} sets[CB_ISA_COUNT] = {
    [CB_ISA_GENERIC] = { "generic", cb_kernels_use_scalar, cb_kernels_use_scalar_quantised },
    [CB_ISA_AVX2] = { "avx2", ON_X86(cb_kernels_use_avx2), ON_X86(cb_kernels_use_avx2_quantised) },
    [CB_ISA_AVX512] = { "avx512", ON_X86(cb_kernels_use_avx512),
                        ON_X86(cb_kernels_use_avx512_quantised) },
    [CB_ISA_NEON] = { "neon", ON_AARCH64(cb_kernels_use_neon), NULL },
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
    return sets[CB_ISA_NEON].use ? CB_ISA_NEON : CB_ISA_GENERIC; /* every AArch64 has it */
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
        if (sets[i].use_quantised)
            sets[i].use_quantised(&kernels);
    }
#if defined(__x86_64__)
    if (top == CB_ISA_AVX512 && __builtin_cpu_supports("avx512bf16"))
        cb_kernels_use_avx512_bf16(&kernels);
#endif
    if (top == CB_ISA_AVX512 && has_vnni())
        use_vnni(&kernels);
    kernels.name = sets[top].name;
    kernels.isa = top;
    return kernels;
}

uint64_t cb_cpu_model(void)
{
    uint64_t hash = 0xcbf29ce484222325u;
#if defined(__x86_64__)
    /* Family and model, caches where the CPU says them there, its name. */
    static const unsigned leaves[] = {
        1, 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006
    };
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        unsigned r[4] = { 0 };
        __get_cpuid(leaves[i], &r[0], &r[1], &r[2], &r[3]);
        for (int k = 0; k < (leaves[i] == 1 ? 1 : 4); k++)
            hash = (hash ^ r[k]) * 0x100000001b3u;
    }
#endif
    return hash;
}
