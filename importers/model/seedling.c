/* importers/model/seedling.c - the embedded model: seedling.onnx's bytes, put here by the
 * assembler. */
#include "importers/model/load.h"

__asm__(".pushsection .rodata\n"
        ".balign 64\n"
        "cb_seedling_begin:\n"
        ".incbin \"importers/model/seedling.onnx\"\n"
        "cb_seedling_end:\n"
        ".byte 0\n"
        ".popsection\n");

extern const uint8_t cb_seedling_begin[], cb_seedling_end[];

struct cb_bytes cb_seedling(void)
{
    return (struct cb_bytes){ cb_seedling_begin, (size_t)(cb_seedling_end - cb_seedling_begin) };
}
