#!/bin/bash
# Makes the words that a gate with a speaker says, by a machine's voice: voices.sh DIR puts NAME.wav into DIR/made. A
# recorded voice goes into DIR/recorded under the same names, and is preferred. Wants espeak-ng.
set -euo pipefail
dir=${1:?voices.sh DIR}/made
command -v espeak-ng >/dev/null || { echo "voices: this machine lacks espeak-ng" >&2; exit 1; }
mkdir -p "$dir"
while IFS='|' read -r name words; do
	espeak-ng -v vi -s 150 -w "$dir/$name.wav" "$words"
done <<'END'
in|Mời vào
out|Tạm biệt
already|Đã quét rồi
again|Vui lòng quét lại
single|Vui lòng từng người một
ask|Vui lòng gặp bảo vệ
stop|Vui lòng gặp bảo vệ
END
