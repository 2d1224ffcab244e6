// Walks the pages of an LMDB file: a meta page, its two trees, the trees named in the main
// one, and the lists of free pages. Each page may be reached once only.
//
//     page      [u64 number][u16 pad][u16 flags][u16 lower][u16 upper][u16 offset of node 0] ...
//     overflow  [u64 number][u16 pad][u16 flags][u32 pages] data ...
//     node      [u32 size of data][u16 flags][u16 size of key] key, data  (leaf)
//               [u48 page number][u16 size of key] key                    (branch)

#include "replay/store_check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { PAGE_HEADER = 16, NODE_HEADER = 8, DEPTH_MAX = 32, FIRST_DATA_PAGE = 2, METAS = 2 };
enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 }; // data on overflow pages; data is a tree_record

static const uint32_t MAGIC = 0xBEEFC0DE, VERSION = 1;
static const uint64_t NO_PAGE = UINT64_MAX;
static const replay_store_visitor nobody = { 0 };

typedef struct page_header {
    uint64_t number;
    uint16_t pad, flags, lower, upper;
} page_header;

typedef struct tree_record {
    uint32_t pad; // page size in the first record of a meta page
    uint16_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
} tree_record;

typedef struct meta {
    uint32_t magic, version;
    uint64_t address, map_size;
    tree_record free, main;
    uint64_t last_page, transaction;
} meta;

enum { META_SIZE = PAGE_HEADER + sizeof(meta) };

_Static_assert(sizeof(page_header) == PAGE_HEADER && sizeof(tree_record) == 48, "as on disk");
_Static_assert(MDB_VERSION_MAJOR == 0 && MDB_VERSION_MINOR == 9, "the format of liblmdb 0.9");

typedef enum tree_kind { TREE_FREE, TREE_MAIN, TREE_NAMED } tree_kind;

typedef struct file_check {
    const char *path;
    int file;
    const unsigned char *map;
    uint64_t page_size, pages; // whole pages in the file
    uint64_t last_page, transaction;
    unsigned char *seen; // [last_page / 8 + 1], a bit a page
    const replay_store_visitor *visitor;
    uint64_t damages; // passed over so far
} file_check;

// One tree on the way through its pages in the order of its keys.
typedef struct tree_walk {
    tree_kind kind;
    const char *name; // of a named one
    size_t name_size;
    bool integer_keys;
    const unsigned char *last_key; // NULL before the first
    size_t last_key_size;
    bool last_separates; // the last key was a branch's: the next may be equal
    tree_record found; // what was counted
} tree_walk;

static gn_status damaged(const file_check *file, uint64_t page, const char *what)
{
    return gn_fail(GN_ERR_CORRUPT, "%s: page %llu: %s", file->path, (unsigned long long)page, what);
}

// Damage is told and passed over where somebody listens; else it ends the walk.
static gn_status pass_over(file_check *file, gn_status status)
{
    if (status != GN_ERR_CORRUPT || !file->visitor->damage)
        return status;
    file->damages++;
    return file->visitor->damage(file->visitor->self);
}

// Notes `count` pages from `page` as used.
static gn_status mark_pages(file_check *file, uint64_t page, uint64_t count)
{
    if (page < FIRST_DATA_PAGE || page > file->last_page || count > file->last_page - page + 1)
        return damaged(file, page, "lies outside the file");
    for (uint64_t i = page; i < page + count; i++) {
        unsigned char bit = (unsigned char)(1u << (i % 8));
        if (file->seen[i / 8] & bit)
            return damaged(file, i, "is used twice");
        file->seen[i / 8] |= bit;
    }
    return GN_OK;
}

// The head is read, not looked at in the mapping. Of a value, that would map up to 2 MB around it,
// and all values of a large file together would count as memory of this process. A tree page is
// mapped afterwards; read before, what the disk cannot give is an error and no signal.
static gn_status enter_page(file_check *file, uint64_t number, uint64_t count,
                            page_header *ret_header)
{
    GN_TRY(mark_pages(file, number, count));
    if (number >= file->pages || count > file->pages - number)
        return damaged(file, number, "is cut off");
    if (pread(file->file, ret_header, sizeof *ret_header, (off_t)(number * file->page_size)) !=
        sizeof *ret_header)
        return gn_fail(GN_ERR_IO, "%s: page %llu: cannot read it", file->path,
                       (unsigned long long)number);
    if (ret_header->number != number)
        return damaged(file, number, "has another number");
    return GN_OK;
}

// Keys must ascend through the tree; a separator stands at or before the keys of its branch. A key
// out of order is no reason to pass over its value.
static gn_status check_key(file_check *file, tree_walk *walk, uint64_t page,
                           const unsigned char *key, size_t size, bool separates)
{
    if (size == 0 || (walk->integer_keys && size != sizeof(uint64_t)))
        return damaged(file, page, "has a key of a wrong size");
    int order = 1;
    if (walk->last_key && walk->integer_keys) {
        uint64_t a, b;
        memcpy(&a, key, sizeof a);
        memcpy(&b, walk->last_key, sizeof b);
        order = (a > b) - (a < b);
    } else if (walk->last_key) {
        size_t common = size < walk->last_key_size ? size : walk->last_key_size;
        order = memcmp(key, walk->last_key, common);
        if (order == 0)
            order = (size > walk->last_key_size) - (size < walk->last_key_size);
    }
    bool ascends = order > 0 || (order == 0 && walk->last_separates);
    walk->last_key = key;
    walk->last_key_size = size;
    walk->last_separates = separates;
    return ascends ? GN_OK : pass_over(file, damaged(file, page, "has keys out of order"));
}

// A list of free pages: [count][page] ..., descending; written by the transaction that is the key.
static gn_status check_free_list(file_check *file, uint64_t page, const unsigned char *key,
                                 const unsigned char *data, size_t size)
{
    uint64_t transaction, count, before = NO_PAGE;
    memcpy(&transaction, key, sizeof transaction);
    if (transaction > file->transaction || size < sizeof count || size % sizeof count != 0)
        return damaged(file, page, "has a damaged list of free pages");
    memcpy(&count, data, sizeof count);
    if (count > size / sizeof count - 1)
        return damaged(file, page, "has a damaged list of free pages");
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t free_page;
        memcpy(&free_page, data + i * sizeof free_page, sizeof free_page);
        if (free_page >= before)
            return damaged(file, page, "lists free pages out of order");
        GN_TRY(mark_pages(file, free_page, 1));
        before = free_page;
    }
    return GN_OK;
}

static gn_status check_tree(file_check *file, const tree_record *record, tree_walk walk);

// data: what stands in the node, `size` the size of the value it stands for.
static gn_status check_value(file_check *file, tree_walk *walk, uint64_t page, unsigned flags,
                             const unsigned char *key, size_t key_size, const unsigned char *data,
                             size_t size)
{
    if (flags == NODE_TREE && walk->kind == TREE_MAIN && size == sizeof(tree_record)) {
        tree_record record;
        memcpy(&record, data, sizeof record);
        tree_walk named = { .kind = TREE_NAMED, .name = (const char *)key, .name_size = key_size };
        return check_tree(file, &record, named);
    }
    if (flags == NODE_BIG) {
        uint64_t first, count = (PAGE_HEADER - 1 + size) / file->page_size + 1;
        memcpy(&first, data, sizeof first);
        page_header header;
        GN_TRY(enter_page(file, first, count, &header));
        if (header.flags != PAGE_OVERFLOW || (header.lower | (uint64_t)header.upper << 16) != count)
            return damaged(file, first, "is no overflow page of its value");
        walk->found.overflows += count;
        data = file->map + first * file->page_size + PAGE_HEADER;
    } else if (flags != 0) {
        return damaged(file, page, "has a node of an unknown kind");
    }
    if (walk->kind == TREE_FREE)
        return check_free_list(file, page, key, data, size);
    const replay_store_visitor *visitor = file->visitor;
    if (walk->kind == TREE_NAMED && visitor->value)
        return visitor->value(visitor->self, walk->name, walk->name_size, key, key_size, data,
                              size);
    return GN_OK;
}

static gn_status check_page(file_check *file, tree_walk *walk, uint64_t number, unsigned depth);

// One node of a page; adds its size to *used.
static gn_status check_node(file_check *file, tree_walk *walk, uint64_t number, unsigned depth,
                            unsigned index, size_t *used)
{
    const unsigned char *page = file->map + number * file->page_size;
    page_header header;
    memcpy(&header, page, sizeof header);
    uint16_t offset, part[4];
    memcpy(&offset, page + PAGE_HEADER + index * sizeof offset, sizeof offset);
    if (offset < header.upper || offset % 2 != 0 || offset + NODE_HEADER > (int)file->page_size)
        return damaged(file, number, "has a node outside the page");
    memcpy(part, page + offset, sizeof part);
    const unsigned char *key = page + offset + NODE_HEADER;
    size_t key_size = part[3], low = part[0] | (size_t)part[1] << 16;
    bool leaf = header.flags == PAGE_LEAF;
    size_t inside = !leaf ? 0 : part[2] == NODE_BIG ? sizeof(uint64_t) : low;
    size_t size = NODE_HEADER + key_size + inside;
    if (size > file->page_size - offset)
        return damaged(file, number, "has a node outside the page");
    *used += size + size % 2;

    if (leaf) {
        GN_TRY(check_key(file, walk, number, key, key_size, false));
        walk->found.entries++;
        return check_value(file, walk, number, part[2], key, key_size, key + key_size, low);
    }
    if (index > 0) // the key of the first branch is not looked at
        GN_TRY(check_key(file, walk, number, key, key_size, true));
    return check_page(file, walk, low | (uint64_t)part[2] << 32, depth - 1);
}

// depth: levels from here down to the leaves, 1 for a leaf.
static gn_status check_page(file_check *file, tree_walk *walk, uint64_t number, unsigned depth)
{
    page_header header;
    GN_TRY(enter_page(file, number, 1, &header));
    if (header.flags != (depth == 1 ? PAGE_LEAF : PAGE_BRANCH))
        return damaged(file, number, "is of a wrong kind");
    if (header.lower < PAGE_HEADER || header.lower % 2 != 0 || header.upper < header.lower ||
        header.upper > file->page_size)
        return damaged(file, number, "has damaged bounds");
    unsigned nodes = (header.lower - PAGE_HEADER) / 2;
    if (nodes < (depth > 1 && walk->kind != TREE_FREE ? 2 : 1))
        return damaged(file, number, "has too few nodes");
    size_t used = 0;
    uint64_t damages = file->damages;
    for (unsigned i = 0; i < nodes; i++)
        GN_TRY(pass_over(file, check_node(file, walk, number, depth, i, &used)));
    if (used != file->page_size - header.upper && file->damages == damages)
        return damaged(file, number, "has nodes that overlap");
    *(depth == 1 ? &walk->found.leaves : &walk->found.branches) += 1;
    return GN_OK;
}

// walk: kind and name of the tree, the rest 0.
static gn_status check_tree(file_check *file, const tree_record *record, tree_walk walk)
{
    walk.integer_keys = record->flags == MDB_INTEGERKEY;
    bool flags_fit = walk.kind == TREE_FREE   ? record->flags == MDB_INTEGERKEY
                     : walk.kind == TREE_MAIN ? record->flags == 0
                                              : record->flags == 0 || walk.integer_keys;
    bool empty = record->root == NO_PAGE;
    if (!flags_fit || record->depth > DEPTH_MAX || empty != (record->depth == 0))
        return damaged(file, record->root, "root of a tree with a damaged record");
    uint64_t damages = file->damages;
    if (!empty)
        GN_TRY(check_page(file, &walk, record->root, record->depth));
    bool same = walk.found.branches == record->branches && walk.found.leaves == record->leaves &&
                walk.found.overflows == record->overflows && walk.found.entries == record->entries;
    if (!same && file->damages == damages)
        return damaged(file, record->root, "root of a tree that holds other pages than it says");
    return GN_OK;
}

// Both meta pages as they were at one instant: a writer may be at work.
static gn_status read_metas(const file_check *file, unsigned char pages[METAS][META_SIZE])
{
    enum { TRIES = 1000 };
    unsigned char before[METAS][META_SIZE];
    for (int i = 0; i < TRIES; i++) {
        memcpy(before, pages, sizeof before);
        for (uint64_t page = 0; page < METAS; page++)
            if (pread(file->file, pages[page], META_SIZE, (off_t)(page * file->page_size)) !=
                META_SIZE)
                return gn_fail(GN_ERR_IO, "%s: cannot read the meta pages", file->path);
        if (i > 0 && memcmp(before, pages, sizeof before) == 0)
            break;
    }
    return GN_OK;
}

static bool decode_meta(const file_check *file, uint64_t number, const unsigned char *page,
                        meta *ret_meta)
{
    page_header header;
    memcpy(&header, page, sizeof header);
    memcpy(ret_meta, page + PAGE_HEADER, sizeof *ret_meta);
    return header.number == number && header.flags == PAGE_META && ret_meta->magic == MAGIC &&
           ret_meta->version == VERSION && ret_meta->free.pad == file->page_size &&
           ret_meta->transaction % 2 == (ret_meta->transaction == 0 ? 0 : number);
}

// Reads both meta pages; the one of `transaction` counts, or where that is 0, of the later one.
static gn_status check_metas(file_check *file, uint64_t transaction, meta *ret_meta)
{
    unsigned char pages[METAS][META_SIZE] = { 0 };
    meta metas[METAS];
    bool sound[METAS];
    GN_TRY(read_metas(file, pages));
    for (uint64_t i = 0; i < METAS; i++) {
        sound[i] = decode_meta(file, i, pages[i], &metas[i]);
        if (!sound[i])
            GN_TRY(pass_over(file, damaged(file, i, "is no meta page")));
    }
    if (!sound[0] && !sound[1])
        return damaged(file, 0, "nor is the other one");
    uint64_t newest = !sound[0] || (sound[1] && metas[1].transaction > metas[0].transaction);
    *ret_meta = metas[newest];
    if (transaction > 0 && sound[transaction % 2])
        *ret_meta = metas[transaction % 2];
    if (transaction > 0 && ret_meta->transaction != transaction)
        return gn_fail(GN_ERR_NOT_FOUND, "%s: transaction %llu: not in the meta pages", file->path,
                       (unsigned long long)transaction);
    if (sound[0] && sound[1] && metas[newest].transaction > 0 &&
        metas[0].transaction + metas[1].transaction != 2 * metas[newest].transaction - 1)
        GN_TRY(pass_over(
            file, damaged(file, 0, "transactions of the meta pages do not follow each other")));
    // Pages allocated and freed in one transaction are never written: the last page may lie past
    // the end of the file, but not far.
    if (ret_meta->last_page < 1 || ret_meta->last_page > 2 * file->pages + 1024) {
        GN_TRY(pass_over(file, damaged(file, 0, "last page lies outside the file")));
        ret_meta->last_page = file->pages - 1;
    }
    return GN_OK;
}

static gn_status begin_check(file_check *ret_check, const replay_store_file *file,
                             const replay_store_visitor *visitor)
{
    uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    file_check check = { .path = file->path,
                         .file = file->file,
                         .map = file->map,
                         .page_size = page_size,
                         .pages = file->size / page_size,
                         .visitor = visitor };
    if (check.pages < FIRST_DATA_PAGE)
        return gn_fail(GN_ERR_CORRUPT, "%s: %zu bytes are no LMDB file", file->path, file->size);
    *ret_check = check;
    return GN_OK;
}

gn_status replay_store_check_head(const replay_store_file *file)
{
    file_check check;
    meta newest;
    GN_TRY(begin_check(&check, file, &nobody));
    return check_metas(&check, 0, &newest);
}

gn_status replay_store_walk(const replay_store_file *file, uint64_t transaction,
                            const replay_store_visitor *visitor)
{
    file_check check;
    meta seen;
    GN_TRY(begin_check(&check, file, visitor));
    GN_TRY(check_metas(&check, transaction, &seen));
    check.last_page = seen.last_page;
    check.transaction = seen.transaction;
    GN_TRY(gn_alloc(&check.seen, check.last_page / 8 + 1, 1));
    gn_status status =
        pass_over(&check, check_tree(&check, &seen.main, (tree_walk){ .kind = TREE_MAIN }));
    if (status == GN_OK)
        status =
            pass_over(&check, check_tree(&check, &seen.free, (tree_walk){ .kind = TREE_FREE }));
    gn_free(&check.seen);
    return status;
}

gn_status replay_store_map(replay_store_file *ret_file, const char *path)
{
    replay_store_file file = { .path = path, .file = open(path, O_RDONLY | O_CLOEXEC) };
    struct stat about;
    if (file.file < 0)
        return gn_fail_errno(errno, "%s: open", path);
    gn_status status = GN_OK;
    if (fstat(file.file, &about) != 0)
        status = gn_fail_errno(errno, "%s: fstat", path);
    if (status == GN_OK && about.st_size > 0) {
        file.size = (size_t)about.st_size;
        void *map = mmap(NULL, file.size, PROT_READ, MAP_SHARED, file.file, 0);
        if (map == MAP_FAILED)
            status = gn_fail_errno(errno, "%s: mmap", path);
        else
            file.map = map;
    }
    if (status == GN_OK)
        *ret_file = file;
    else
        close(file.file);
    return status;
}

void replay_store_unmap(replay_store_file *file)
{
    if (file->map)
        munmap((void *)file->map, file->size);
    if (file->file >= 0)
        close(file->file);
    *file = (replay_store_file){ .file = -1 };
}

gn_status replay_store_check(const char *path)
{
    replay_store_file file;
    gn_status status = replay_store_map(&file, path);
    if (status == GN_ERR_NOT_FOUND)
        return GN_OK;
    GN_TRY(status);
    if (file.size > 0)
        status = replay_store_walk(&file, 0, &nobody);
    replay_store_unmap(&file);
    return status;
}

bool replay_store_locate(const void *value, size_t size, uint64_t *ret_offset)
{
    const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    if ((uintptr_t)value % page_size != PAGE_HEADER || size < page_size / 2)
        return false;
    page_header header;
    memcpy(&header, (const unsigned char *)value - PAGE_HEADER, sizeof header);
    *ret_offset = header.number * page_size + PAGE_HEADER;
    return header.flags == PAGE_OVERFLOW;
}

void replay_store_forget(const void *map, size_t map_size, uint64_t offset, size_t size)
{
    enum { FOLIO_MOST = 2 << 20 };
    if (offset > map_size || size > map_size - offset)
        return; // the head of a damaged page says where it is
    uint64_t from = offset / FOLIO_MOST * FOLIO_MOST;
    uint64_t end = (offset + size + FOLIO_MOST - 1) / FOLIO_MOST * FOLIO_MOST;
    (void)madvise((char *)(uintptr_t)map + from, (end < map_size ? end : map_size) - from,
                  MADV_DONTNEED);
}
