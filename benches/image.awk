# Turns the lines of benches/image, INPUT WAY wall_us cpu_us peak_kib bytes, into one row per input and way, in the order
# first seen. Times are medians, memory and bytes the largest; ratios are to the fastest of the others for that input.

function of_wisp(way) { return way ~ /^wisp/ }

{
    key = $1 " " $2
    if (!(key in runs))
        keys[++rows] = key
    run = ++runs[key]
    figure[key, run, "wall"] = $3
    figure[key, run, "cpu"] = $4
    if ($5 > peak[key]) peak[key] = $5
    if ($6 > bytes[key]) bytes[key] = $6
}

END {
    for (i = 1; i <= rows; i++) {
        split(keys[i], part, " ")
        wall = median(keys[i], "wall")
        if (!of_wisp(part[2]) && (!(part[1] in fastest) || wall < fastest[part[1]]))
            fastest[part[1]] = wall
    }
    printf "%d MiB of data; the goals: 1.00 of the fastest other way, 32 MiB of memory, no more written than data\n\n", data_mib
    print "| input | way | wall s | × fastest other | CPU s | peak MiB | MiB written |"
    print "|---|---|--:|--:|--:|--:|--:|"
    for (i = 1; i <= rows; i++) {
        key = keys[i]
        split(key, part, " ")
        printf "| %s | %s | %.2f | %.2f | %.2f | %.1f | %.0f |\n", part[1], part[2], median(key, "wall") / 1e6,
            median(key, "wall") / fastest[part[1]], median(key, "cpu") / 1e6, peak[key] / 1024, bytes[key] / 1048576
    }
}
