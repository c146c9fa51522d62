# Turns the table of "renewgate --help-markdown" into the man page's list.
BEGIN { FS = " \\| " }
NR > 2 {
    name = $1
    sub(/^\| /, "", name)
    secret = sub(/, `…_FILE`/, "", name)
    gsub(/`/, "", name)
    gsub(/_/, "\\_", name)
    value = $2
    gsub(/`/, "", value)
    help = $4
    sub(/ \|$/, "", help)
    text = help " Allowed: " $3 ". Default: " value "."
    gsub(/[*_]/, "\\\\&", text)
    printf "*%s*%s\n\t%s\n\n", name, secret ? ", *" name "\\_FILE*" : "", text
}
