/* Hands small blocks back to the allocator late: each thread keeps its last HELD of them.
 *
 * Loaded before Triton 2.51 where it traces requests. Its tracer unlocks a mutex inside of a block that it freed a
 * moment before; by then the block may be another thread's, and the heap is corrupt. Fixed in the server in 2025
 * (triton-inference-server/server, pull request 8144).
 */
#include <malloc.h>
#include <stddef.h>

enum { HELD = 64, SMALL_BYTES = 4096 };

extern void __libc_free(void *block);

void free(void *block)
{
    /* initial-exec: other models of thread storage allocate, and so would come here again */
    static __thread void *held[HELD] __attribute__((tls_model("initial-exec")));
    static __thread size_t next __attribute__((tls_model("initial-exec")));

    if (block == NULL)
        return;
    if (malloc_usable_size(block) > SMALL_BYTES) {
        __libc_free(block);
        return;
    }
    void *oldest = held[next];
    held[next] = block;
    next = (next + 1) % HELD;
    __libc_free(oldest);
}
