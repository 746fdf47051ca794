#!/bin/sh
# Every #include must point sideways or down. Left: folder; right: what it may include. Prints offenders, exit 1.
set -eu
below='core/(base|tensor)'
status=0
while read -r folder allowed; do
    [ -d "$folder" ] || continue
    if grep -rnE '#include "' "$folder" --include='*.[ch]' | grep -vE "#include \"($allowed)/"; then
        echo "  $folder may include only $allowed" >&2
        status=1
    fi
done <<END
core/base       core/base
core/tensor     $below
core/kernels    core/(base|kernels)
core/image      $below|core/image
core/ops        $below|core/(kernels|ops)
core/graph      $below|core/(kernels|ops|graph)
core/exec       $below|core/(kernels|ops|graph|exec)
core/grad       $below|core/(kernels|ops|graph|exec|grad)
core/model      $below|core/(kernels|ops|graph|exec|grad|image|model)
core/train      $below|core/(kernels|ops|graph|exec|grad|image|model|train)
core/explain    $below|core/(kernels|ops|graph|exec|grad|image|model|explain)
importers       core/[a-z]*(/[a-z]*)?|importers/[a-z]*|proto
server          core/[a-z]*|importers/[a-z]*|server(/handlers)?
cli             core/[a-z]*|importers/[a-z]*|server|cli
END

# One room each for what must not spread.
only() { # PATTERN WHERE WHY
    if grep -rnE "$1" core importers server cli --include='*.[ch]' | grep -vE "^($2)"; then
        echo "  only $2: $3" >&2
        status=1
    fi
}
only '#include <microhttpd.h>' 'server/http\.c' 'HTTP has one door'
only '#include <curl/' 'importers/remote/remote\.c' 'the network has one door'
only '#include <(immintrin|arm_neon)\.h>' 'core/kernels/' 'instruction sets stay in the kernel families'
only '__builtin_cpu_supports' 'core/kernels/select\.c' 'one place asks the CPU'
only '\b(printf|puts|exit|abort)\(' 'cli/' 'libraries neither print nor exit'
exit $status
