# Turns the guest's `run` lines (benches/measure.c) into one row of medians per method, in the order first seen.
# The ratios are to the method named `floor`.

$1 == "run" && $5 == 0 {
    method = $2
    if (!(method in runs))
        order[++methods] = method
    run = ++runs[method]
    figure[method, run, "wall"] = $6 + 0
    figure[method, run, "cpu"] = $7 + $8
    figure[method, run, "memory"] = $9 + 0
    figure[method, run, "processes"] = $10 + 0
    figure[method, run, "writes"] = $11 + 0
    figure[method, run, "bytes"] = $12 + 0
    figure[method, run, "flushes"] = $13 + 0
    figure[method, run, "later"] = $14 + 0
}

END {
    print "| method | runs | wall ms (range) | × floor | CPU ms (range) | × floor | largest process KiB | processes | writes | KiB written | flushes | KiB left to sync |"
    print "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    wall_floor = median("floor", "wall")
    cpu_floor = median("floor", "cpu")
    for (i = 1; i <= methods; i++) {
        method = order[i]
        wall = median(method, "wall")
        cpu = median(method, "cpu")
        printf "| %s | %d | %.0f (%s) | %.2f | %.0f (%s) | %.2f | %d | %d | %d | %.0f | %d | %.0f |\n", \
            method, runs[method], wall / 1000, spread(method, "wall", 0), wall / wall_floor, \
            cpu / 1000, spread(method, "cpu", 0), cpu / cpu_floor, median(method, "memory"), \
            median(method, "processes"), median(method, "writes"), median(method, "bytes") / 1024, \
            median(method, "flushes"), median(method, "later") / 1024
    }
}
