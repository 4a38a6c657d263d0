/* Plugin for qemu-user: how many instructions were executed, by the file that they were mapped from.
 *
 *     qemu-ppc64le -plugin ./count_instructions.so,out=counts.txt PROGRAM
 *
 * Writes a line `COUNT PATH` for each file when the program ends. A block of code that an exception leaves half
 * way counts as a whole. QEMU's header is not part of its packages; what is used of it is declared here, after
 * version 1 of the interface (QEMU's docs/devel/tcg-plugins.rst), in which threads would race for the counters:
 * count programs with one thread.
 */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { FILES = 512, RANGES = 4096, PATH = 1024 };

struct range {
    uintptr_t start, end;
    int file;
};

static struct {
    char path[PATH];
    uint64_t count;
} files[FILES] = { { "[none]", 0 } };
static int file_count = 1;
static struct range ranges[RANGES];
static int range_count;
static char out[PATH] = "counts.txt";

/* Which file has this path; the first stands for what has none, and for what there is no room for. */
static int file_of(const char *path)
{
    int at;

    if (path[0] != '/')
        return 0;
    for (at = 1; at < file_count; at++)
        if (strcmp(files[at].path, path) == 0)
            return at;
    if (file_count == FILES)
        return 0;
    strcpy(files[file_count].path, path);
    return file_count++;
}

static void read_maps(void)
{
    char line[PATH + 100];
    FILE *maps = fopen("/proc/self/maps", "r");

    range_count = 0;
    while (maps && range_count < RANGES && fgets(line, sizeof line, maps)) {
        struct range *range = &ranges[range_count];
        char path[PATH] = "";

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %1023[^\n]", &range->start, &range->end, path) < 2)
            continue;
        range->file = file_of(path);
        range_count++;
    }
    if (maps)
        fclose(maps);
}

static const struct range *find(uintptr_t address)
{
    int at;

    for (at = 0; at < range_count; at++)
        if (ranges[at].start <= address && address < ranges[at].end)
            return &ranges[at];
    return NULL;
}

/* Code is mapped once and stays, or is unmapped for good: a range that is known need not be read again. */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    size_t length = qemu_plugin_tb_n_insns(block);
    uintptr_t address;
    const struct range *range;

    (void)id;
    if (length == 0)
        return;
    address = (uintptr_t)qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(block, 0));
    range = find(address);
    if (range == NULL || range->file == 0) {
        read_maps();
        range = find(address);
    }
    qemu_plugin_register_vcpu_tb_exec_inline(
        block, QEMU_PLUGIN_INLINE_ADD_U64, &files[range ? range->file : 0].count, length);
}

static void ended(qemu_plugin_id_t id, void *data)
{
    FILE *file = fopen(out, "w");
    int at;

    (void)id;
    (void)data;
    for (at = 0; file && at < file_count; at++)
        if (files[at].count)
            fprintf(file, "%" PRIu64 " %s\n", files[at].count, files[at].path);
    if (file)
        fclose(file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(
    qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    int at;

    (void)info;
    for (at = 0; at < argc; at++)
        if (strncmp(argv[at], "out=", 4) == 0)
            snprintf(out, sizeof out, "%s", argv[at] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
