/* One a process of the training: knows the counters of every module that is loaded.

   libgcov writes counters when a process ends by exit(3). Python's worker processes end by _exit(2) or a signal, and
   a child made by fork(2) begins with its parent's counters, which would count twice. A file of the process stands in
   XTOOL_PLACE until its counters are written, so that one which was killed is known. */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define MOST 4096

static struct {
  void (*dump)(void);
  void (*reset)(void);
} parts[MOST];
static int count;

static void name_of(char *path, size_t size) {
  snprintf(path, size, "%s/%ld", XTOOL_PLACE, (long)getpid());
}

/* Says that this process has counters which are not written yet. */
void xtool_training_begin(void) {
  char path[4096];
  name_of(path, sizeof path);
  int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
  if (file >= 0) close(file);
}

static void written(void) {
  char path[4096];
  name_of(path, sizeof path);
  unlink(path);
}

static void reset_all(void) {
  for (int i = 0; i < count; i++) parts[i].reset();
}

/* Writes and empties all counters: what is counted afterwards is written afterwards. */
void xtool_training_dump(void) {
  for (int i = 0; i < count; i++) parts[i].dump();
  reset_all();
  written();
}

void xtool_training_part(void (*dump)(void), void (*reset)(void)) {
  if (count == 0) {
    pthread_atfork(0, 0, reset_all);
    xtool_training_begin();
  }
  if (count < MOST) {
    parts[count].dump = dump;
    parts[count].reset = reset;
    count++;
  }
}

/* Modules are finished before the library that they need: by now each has written its own. */
__attribute__((destructor)) static void end(void) { written(); }
