/* A thread's memory, aligned for vectors: it stays for the thread's next call, since fresh pages cost
 * as much as a block's work, and goes when the thread ends. */
#include <pthread.h>

static pthread_key_t room_key;
static pthread_once_t room_once = PTHREAD_ONCE_INIT;
static _Thread_local size_t room_bytes;

static void make_room_key(void) { pthread_key_create(&room_key, free); }

/* NULL without memory. */
static void *room_of(size_t bytes)
{
    pthread_once(&room_once, make_room_key);
    void *memory = pthread_getspecific(room_key);
    if (memory && room_bytes >= bytes) return memory;
    pthread_setspecific(room_key, 0);
    free(memory);
    if (posix_memalign(&memory, 64, bytes)) return 0;
    if (pthread_setspecific(room_key, memory)) {
        free(memory);
        return 0;
    }
    room_bytes = bytes;
    return memory;
}
