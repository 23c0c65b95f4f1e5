# Turns the lines of benches/decode, FORMAT PROGRAM wall_us cpu_us peak_kib, into one row per format, in the order first
# seen. Times are medians, memory is the largest; speeds are in bytes of content.

function row(format,    tool, wisp, cpu_tool, cpu_wisp) {
    tool = median(format SUBSEP "tool", "wall")
    wisp = median(format SUBSEP "wisp", "wall")
    cpu_tool = median(format SUBSEP "tool", "cpu")
    cpu_wisp = median(format SUBSEP "wisp", "cpu")
    printf "| %s | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f | %d | %d |\n", format, length_mb * 1e6 / tool,
        length_mb * 1e6 / wisp, tool / wisp, cpu_tool / 1000, cpu_wisp / 1000, cpu_tool / cpu_wisp,
        peak[format, "tool"], peak[format, "wisp"]
}

{
    if (!(($1, "tool") in runs) && !(($1, "wisp") in runs))
        order[++formats] = $1
    run = ++runs[$1, $2]
    figure[$1, $2, run, "wall"] = $3
    figure[$1, $2, run, "cpu"] = $4
    if ($5 > peak[$1, $2])
        peak[$1, $2] = $5
}

END {
    print "| format | tool MB/s | wisp MB/s | × | tool CPU ms | wisp CPU ms | × | tool peak KiB | wisp peak KiB |"
    print "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for (i = 1; i <= formats; i++)
        row(order[i])
}
