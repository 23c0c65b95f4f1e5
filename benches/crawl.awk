# Turns `counts` (CLOUD METHOD requests connections) and the lines of benches/stopwatch.c into one row per cloud and
# method. Times are medians, memory is the largest.

NF == 4 {
    keys[++rows] = $1 " " $2
    requests[$1 " " $2] = $3
    connections[$1 " " $2] = $4
    next
}

{
    key = $1 " " $2
    run = ++runs[key]
    figure[key, run, "wall"] = $3
    figure[key, run, "cpu"] = $4
    if ($5 > peak[key])
        peak[key] = $5
}

END {
    names["wisp"] = "`wisp imds --json`"
    names["curl"] = "curl, one process"
    names["each"] = "curl for each"
    print "| cloud | method | requests | connections | wall ms | × curl | CPU ms | × curl | peak KiB |"
    print "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for (i = 1; i <= rows; i++) {
        key = keys[i]
        split(key, part, " ")
        base = part[1] " curl"
        printf "| %s | %s | %d | %d | %.2f | %.2f | %.2f | %.2f | %d |\n", part[1], names[part[2]], requests[key],
            connections[key], median(key, "wall") / 1000, median(key, "wall") / median(base, "wall"),
            median(key, "cpu") / 1000, median(key, "cpu") / median(base, "cpu"), peak[key]
    }
}
