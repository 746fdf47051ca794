/* importers/catalogue/embedded.c - catalog.json's bytes, put here by the assembler. */
#include "importers/catalogue/catalogue.h"

__asm__(".pushsection .rodata\n"
        "cb_catalogue_begin:\n"
        ".incbin \"importers/catalogue/catalog.json\"\n"
        "cb_catalogue_end:\n"
        ".byte 0\n"
        ".popsection\n");

extern const uint8_t cb_catalogue_begin[], cb_catalogue_end[];

struct cb_bytes cb_catalogue_embedded(void)
{
    return (struct cb_bytes){ cb_catalogue_begin, (size_t)(cb_catalogue_end - cb_catalogue_begin) };
}
