# Turns the guest's `run` lines (benches/measure.c) into one row of medians per method, in the order first seen.
# The ratios are to the method named `floor`. Portable awk: insertion sort, no asort.

function median(method, column,    count, i, j, value, sorted) {
    count = runs[method]
    for (i = 1; i <= count; i++) {
        value = figure[method, i, column]
        for (j = i - 1; j >= 1 && sorted[j] > value; j--)
            sorted[j + 1] = sorted[j]
        sorted[j + 1] = value
    }
    return count % 2 ? sorted[(count + 1) / 2] : (sorted[count / 2] + sorted[count / 2 + 1]) / 2
}

function spread(method, column,    i, low, high, value) {
    low = high = figure[method, 1, column]
    for (i = 2; i <= runs[method]; i++) {
        value = figure[method, i, column]
        if (value < low) low = value
        if (value > high) high = value
    }
    return sprintf("%.0f..%.0f", low / 1000, high / 1000)
}

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
            method, runs[method], wall / 1000, spread(method, "wall"), wall / wall_floor, \
            cpu / 1000, spread(method, "cpu"), cpu / cpu_floor, median(method, "memory"), \
            median(method, "processes"), median(method, "writes"), median(method, "bytes") / 1024, \
            median(method, "flushes"), median(method, "later") / 1024
    }
}
