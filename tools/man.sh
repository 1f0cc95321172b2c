#!/bin/sh
# man.sh TEMPLATE [PROGRAM | FILE]: writes a man page to standard output. A template's line
#   @OPTIONS@    becomes the options of `PROGRAM --help`
#   @COMMANDS@   becomes every command, verb and option that PROGRAM's own --help tells of
#   @KEYS@       becomes the keys of a configuration file FILE, with its comments and defaults
# so that a page cannot say other than the program.
set -eu
export LC_ALL=C
template=$1 source=${2:-}
version=${VERSION:-0}
date=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%d 2>/dev/null || date -u +%Y-%m-%d)

# Text of a help page to roff: a leading dot, backslashes and dashes mean something there.
escape='function esc(s) { gsub(/\\/, "\\e", s); gsub(/-/, "\\-", s); sub(/^[.'"'"']/, "\\\\\\&&", s); return s }'

# The options of a --help on standard input, as a list; with `1`, the text before them too.
options() {
    awk -v text_too="${1:-0}" "$escape"'
        /^ +-/ && !/--help  / && !/--version  / {
            text = $0; sub(/^ +/, "", text)
            cut = match(text, /  +/)
            print ".TP"
            if (cut) {
                print ".B " esc(substr(text, 1, cut - 1))
                rest = substr(text, cut); sub(/^ +/, "", rest); print esc(rest)
            } else
                print ".B " esc(text)
            listed = 1; next
        }
        /^                    / && listed { text = $0; sub(/^ +/, "", text); print esc(text); next }
        /^ +-/ { next }
        text_too && !listed && wanted && NF { print esc($0) }
        /^usage: / { wanted = 1 }'
}

# One "usage: ..." of a --help as a subsection: $1 is a sentence about it or empty.
usage() {
    sed -n 's/^usage: //p' "$2" | head -n 1 | awk "$escape"'{ print ".SS \"" esc($0) "\"" }'
    [ -z "$1" ] || printf '%s\n' "$1" | awk "$escape"'
        { print esc($0); print ".PP" }'
    options 1 <"$2"
}

commands() {
    page=$(mktemp) && trap 'rm -f "$page" "$page.verb"' EXIT
    # "  NAME   ... about" between the head and the options.
    "$source" --help | awk '/^options/ { exit } /^  [a-z]/ { print }' >"$page"
    list=$(awk '{ print $1 }' "$page")
    abouts=$(cat "$page")
    for command in $list; do
        about=$(printf '%s\n' "$abouts" | sed -n "s/^  $command  *//p" | sed 's/.*   *//')
        "$source" "$command" --help >"$page"
        if [ "$(head -n 1 "$page")" != usage: ]; then
            usage "$about" "$page"
            continue
        fi
        sed -n "s/^  [a-z-]* $command //p" "$page" | while IFS= read -r line; do
            verb=${line%% *}
            about=$(printf '%s\n' "$line" | sed -n 's/^.*   *\([^ ].*\)$/\1/p')
            "$source" "$command" "$verb" --help >"$page.verb"
            usage "$about" "$page.verb"
        done
    done
}

keys() {
    awk "$escape"'
        function flush_comment(  i, verbatim) {
            for (i = 1; i <= n; i++) {
                if (comment[i] == "" && !verbatim) { print ".PP"; print ".nf"; verbatim = 1 }
                else print esc(comment[i])
            }
            if (verbatim) print ".fi"
            n = 0
        }
        NR == 1 { top = 1 }
        top && /^#/ { next }
        top { top = 0 }
        /^[a-z_]+:/ {
            section = $1; sub(/:$/, "", section)
            print ".SS " section; flush_comment(); next
        }
        /^ *# / || /^ *#$/ { text = $0; sub(/^ *# ?/, "", text); comment[++n] = text; next }
        /^  #?[a-z_0-9]+:/ {
            key = $1; sub(/^#/, "", key); sub(/:$/, "", key)
            value = $0; sub(/^[^:]*: */, "", value)
            print ".TP"
            computed = $0 ~ /^  #/
            print ".BR " esc(section "." key) " \" " (computed ? "(for example " : "(") esc(value) ")\""
            flush_comment(); next
        }
        /^$/ { if (n > 0) { print ".PP"; flush_comment() } }
        END { if (n > 0) { print ".PP"; flush_comment() } }' "$source"
}

while IFS= read -r line; do
    case "$line" in
    @OPTIONS@) "$source" --help | options ;;
    @COMMANDS@) commands ;;
    @KEYS@) keys ;;
    *) printf '%s\n' "$line" | sed "s|@VERSION@|$version|g; s|@DATE@|$date|g; s|@SYSCONFDIR@|${SYSCONFDIR:-/etc}|g;
        s|@PREFIX@|${PREFIX:-/usr}|g" ;;
    esac
done <"$template"
