# Turns the lines of qemu/start, `bytes METHOD GROWS COMPRESSED UNPACKED` and `run METHOD ROUND us`, into a row a method, in
# the order first seen. The ratios are to the method named `wisp`.

$1 == "bytes" {
    order[++methods] = $2
    grows[$2] = $3
    compressed[$2] = $4
    unpacked[$2] = $5
}

$1 == "run" {
    figure[$2, ++runs[$2], "start"] = $4 / 1000
}

END {
    print "| initramfs | grows | boots | s from kernel to init (range) | × wisp | KiB packed | × wisp | KiB unpacked |"
    print "|---|---|--:|--:|--:|--:|--:|--:|"
    start = median("wisp", "start")
    for (i = 1; i <= methods; i++) {
        method = order[i]
        printf "| %s | %s | %d | %.2f (%s) | %.2f | %.0f | %.2f | %.0f |\n", method, grows[method], runs[method], \
            median(method, "start") / 1000, spread(method, "start", 2), median(method, "start") / start, \
            compressed[method] / 1024, compressed[method] / compressed["wisp"], unpacked[method] / 1024
    }
}
