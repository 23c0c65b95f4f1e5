# Turns the lines of benches/bootstrap, METHOD PLACE ROUND PHASE wall_us cpu_us peak_kib processes requests connections
# tokens, and `flushes METHOD COUNT us`, into a row per method and place with all its phases together, and into one per
# phase of wisp. Times are medians, counts and memory the largest.

function most(old, new) {
    return new > old + 0 ? new : old + 0
}

$1 == "flushes" {
    flushes[$2, "disk"] = $3
    flushed[$2, "disk"] = $4
    next
}

# Slower by what looks on.
$3 == "trace" {
    next
}

{
    whole = $1 SUBSEP $2
    stage = whole SUBSEP $4
    if (!((whole, $3) in numbers))
        numbers[whole, $3] = ++runs[whole]
    run = numbers[whole, $3]
    figure[whole, run, "wall"] += $5
    figure[whole, run, "cpu"] += $6
    if (!(stage in runs))
        parts[++phases] = stage
    figure[stage, ++runs[stage], "wall"] = $5
    figure[stage, runs[stage], "cpu"] = $6
    peak[whole] = most(peak[whole], $7)
    peak[stage] = most(peak[stage], $7)
    for (i = 8; i <= NF; i++) {
        counted[stage, i] = most(counted[stage, i], $i)
        inside[whole, run, i] += $i
        counted[whole, i] = most(counted[whole, i], inside[whole, run, i])
    }
}

function row(key, base,    wall, cpu) {
    wall = median(key, "wall")
    cpu = median(key, "cpu")
    printf " %.2f (%s) | %.2f | %.2f (%s) | %.2f | %d | %d | %d | %d | %d |", wall / 1000, spread(key, "wall", 1),
        wall / median(base, "wall"), cpu / 1000, spread(key, "cpu", 1), cpu / median(base, "cpu"), peak[key],
        counted[key, 8], counted[key, 9], counted[key, 10], counted[key, 11]
}

function whole_row(method, place,    key) {
    key = method SUBSEP place
    printf "| %s | %s | %d |", names[method], place, runs[key]
    row(key, "floor" SUBSEP place)
    if (key in flushes)
        printf " %d | %.1f |\n", flushes[key], flushed[key] / 1000
    else
        print " | |"
}

END {
    names["floor"] = "floor"
    names["script"] = "the user's script alone"
    names["wisp"] = "wisp"
    names["cloud-init"] = "cloud-init"
    print "| method | root on | runs | wall ms (range) | × floor | CPU ms (range) | × floor | peak KiB | processes | requests | connections | tokens | flushes | ms in them |"
    print "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    places = split("memory disk", place, " ")
    methods = split("floor script wisp cloud-init", method, " ")
    for (i = 1; i <= places; i++)
        for (j = 1; j <= methods; j++)
            if ((method[j], place[i]) in runs)
                whole_row(method[j], place[i])
    print "\n| phase, in memory | wall ms (range) | × floor | CPU ms (range) | × floor | peak KiB | processes | requests | connections | tokens |"
    print "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for (i = 1; i <= phases; i++) {
        split(parts[i], part, SUBSEP)
        if (part[1] != "wisp" || part[2] != "memory") continue
        printf "| `wisp %s` |", part[3]
        row(parts[i], "floor" SUBSEP part[2] SUBSEP part[3])
        print ""
    }
    key = "wisp" SUBSEP "memory"
    script = median("script" SUBSEP "memory", "cpu")
    printf "\ngoals of wisp: CPU %.2f ms of 5 (%.2f without the user's script), ", median(key, "cpu") / 1000,
        (median(key, "cpu") - script) / 1000
    printf "wall without flushing %.2f ms of 12, peak %d KiB of 4096,\n", median(key, "wall") / 1000, peak[key]
    printf "%d connections and %d tokens of 3 each, %d processes of 4 (three phases and the user's script)\n",
        counted[key, 10], counted[key, 11], counted[key, 8]
}
