# The middle and the range of what was measured, for the tables of the benchmarks: of `runs[key]` values, each
# figure[key, run, column]. Portable awk: insertion sort, no asort.

function median(key, column,    count, i, j, value, sorted) {
    count = runs[key]
    for (i = 1; i <= count; i++) {
        value = figure[key, i, column]
        for (j = i - 1; j >= 1 && sorted[j] > value; j--)
            sorted[j + 1] = sorted[j]
        sorted[j + 1] = value
    }
    return count % 2 ? sorted[(count + 1) / 2] : (sorted[count / 2] + sorted[count / 2 + 1]) / 2
}

# Of microseconds, in milliseconds.
function spread(key, column, digits,    i, low, high, value) {
    low = high = figure[key, 1, column]
    for (i = 2; i <= runs[key]; i++) {
        value = figure[key, i, column]
        if (value < low) low = value
        if (value > high) high = value
    }
    return sprintf("%." digits "f..%." digits "f", low / 1000, high / 1000)
}
