/* worker.pml - claim, batch, fence, crash, freeze, rebalance and unknown commit, for spin to try every interleaving of. See README.md.
 *
 * Two workers, two topic partitions, a database that may restart. What is modelled is the protocol of consumer/worker*.c and of schemas/functions/commit_batch.sql:
 * who may commit which offsets when. Deliberately absent are the guards behind it, the key of the events and the unique index of the ledger: offsets
 * must come out exactly once by the fence alone.
 *
 * Invariant, checked at every commit and at the end: an offset below the ledger's position has one outcome, one at or above it has none.
 *
 * A frozen worker needs no rule of its own: any process may stand still at any point for as long as it likes, and the group rebalances meanwhile.
 * Everything is in global arrays and each step is one atomic guard, so that a crash, which may come between any two steps, is an assignment.
 */

#ifndef OFFSETS
#define OFFSETS 2       /* events in each topic partition; the last one is a bad event, whose outcome is a dead letter */
#endif
#ifndef FAULTS
#define FAULTS 2        /* crashes, database restarts, cut connections, terminated backends: together */
#endif
#ifndef REBALANCES
#define REBALANCES 2
#endif
#define PARTITIONS 2
#define BACKENDS 4      /* server processes: two a worker, the connection it has and one that it lost while it was at work */

/* The planted bugs; each takes the second guard away where one would hide it. */
#ifdef NO_FENCE
#define NO_EPOCH
#define NO_POSITION
#endif
#if defined(CLAIM_READS_FIRST) || defined(BLIND_RETRY) || defined(COMPARE_UNLOCKED)
#define NO_POSITION
#endif

#define ROW(p, offset) ((p) * OFFSETS + (offset))
#define AT(b, p) ((b) * PARTITIONS + (p))
#define CONN(w) ((w) * 2 + slot[w])
#define HAS(b, p) (last[AT(b, p)] > first[AT(b, p)])

/* ---- the database: what is committed, and locks on the rows of tallymill.owners ---- */
byte epoch[PARTITIONS];                 /* owners.epoch */
byte ledger[PARTITIONS];                /* the last next_offset in tallymill.batches */
byte outcomes[PARTITIONS * OFFSETS];    /* rows and dead letters of each offset */
byte lock[PARTITIONS];                  /* 0, or the backend that holds it, plus one */

/* ---- server processes: a claim or a commit that was sent is carried out even when nobody waits for the answer ---- */
mtype = {IDLE, LOCK_0, LOCK_1, APPLY, APPLY_ROWS, CLAIM, COMMIT, NONE, DONE, REFUSED, DOWN, READY, CLAIMING, COMMITTING};
mtype step[BACKENDS] = IDLE;
mtype kind[BACKENDS] = CLAIM;
mtype reply[BACKENDS] = NONE;
bool lost[BACKENDS] = true;             /* the client's end of the connection is gone */
byte first[BACKENDS * PARTITIONS];      /* the ranges of a commit; of a claim: first 0, last 1 where it is wanted */
byte last[BACKENDS * PARTITIONS];
byte with_epoch[BACKENDS * PARTITIONS]; /* a commit's epoch; a claim's answer */
byte position[BACKENDS * PARTITIONS];   /* a claim's answer */
bool stale[BACKENDS * PARTITIONS];      /* TM001: N/epoch */
bool elsewhere[BACKENDS * PARTITIONS];  /* TM001: N/position */

/* ---- workers ---- */
mtype state[2] = DOWN;
byte slot[2];
bool owns[2 * PARTITIONS];
byte own_epoch[2 * PARTITIONS];
byte next[2 * PARTITIONS];              /* where reading goes on: everything before is committed or in the batch */
byte batch[2 * PARTITIONS];             /* the batch holds offsets next to batch - 1 */
bool claim_due[2];
byte dead_due[2];                       /* DEAD_OUTSIDE: dead letters to insert after COMMIT, a bit for each topic partition */

/* ---- the group ---- */
byte assigned[PARTITIONS];
bool changed[2] = true;                 /* an assignment that this worker has not looked at yet */

byte faults = FAULTS, rebalances = REBALANCES;

/* What nobody looks at any more is zero: states that differ in it only are one state. */
inline forget(b) {
  d_step {
    kind[b] = CLAIM;
    reply[b] = NONE;
    first[AT(b, 0)] = 0; last[AT(b, 0)] = 0; with_epoch[AT(b, 0)] = 0; position[AT(b, 0)] = 0; stale[AT(b, 0)] = false; elsewhere[AT(b, 0)] = false;
    first[AT(b, 1)] = 0; last[AT(b, 1)] = 0; with_epoch[AT(b, 1)] = 0; position[AT(b, 1)] = 0; stale[AT(b, 1)] = false; elsewhere[AT(b, 1)] = false
  }
}

/* The client's end is gone. */
inline lose(b) {
  lost[b] = true;
  if :: step[b] == IDLE -> forget(b) :: else fi
}

inline release(b) {
  if :: lock[0] == b + 1 -> lock[0] = 0 :: else fi;
  if :: lock[1] == b + 1 -> lock[1] = 0 :: else fi
}

/* The outcomes of a range. With DEAD_OUTSIDE the bad event's comes later. */
inline store(b, p) {
  o = first[AT(b, p)];
  do
  :: o < last[AT(b, p)] ->
#ifdef DEAD_OUTSIDE
     if :: o < OFFSETS - 1 -> outcomes[ROW(p, o)]++ :: else fi;
#else
     outcomes[ROW(p, o)]++;
#endif
     assert(outcomes[ROW(p, o)] <= 1);   /* stored twice */
     o++
  :: else -> break
  od
}

/* Lock, then compare, one topic partition. */
inline fence(b, p) {
  stale[AT(b, p)] = false;
  elsewhere[AT(b, p)] = false;
  if
  :: kind[b] == COMMIT ->
#ifndef NO_EPOCH
     stale[AT(b, p)] = with_epoch[AT(b, p)] != epoch[p];
#endif
#ifndef NO_POSITION
     elsewhere[AT(b, p)] = !stale[AT(b, p)] && ledger[p] != first[AT(b, p)];
#ifndef NO_EPOCH
     assert(!elsewhere[AT(b, p)]);   /* whoever moves a position raises the epoch, or is the owner: N/position is never the answer */
#endif
#endif
  :: else
  fi
}

#define REFUSED_RANGE(b, p) (HAS(b, p) && (stale[AT(b, p)] || elsewhere[AT(b, p)]))

inline take_lock(b, p) {
#ifdef COMPARE_UNLOCKED
  if :: kind[b] == CLAIM -> lock[p] = b + 1 :: else fi;
#else
  lock[p] = b + 1;
#endif
#ifndef CLAIM_READS_FIRST
  if :: kind[b] == CLAIM -> position[AT(b, p)] = ledger[p] :: else fi; /* a statement of its own: its snapshot is from after the wait */
#endif
  fence(b, p)
}

inline apply_claim(b) {
  p = 0;
  do
  :: p < PARTITIONS ->
     if :: HAS(b, p) -> epoch[p]++; with_epoch[AT(b, p)] = epoch[p] :: else fi;
     p++
  :: else -> break
  od;
  reply[b] = DONE
}

inline apply_commit(b) {
  if
  :: REFUSED_RANGE(b, 0) || REFUSED_RANGE(b, 1) -> reply[b] = REFUSED
  :: else ->
     p = 0;
     do
     :: p < PARTITIONS ->
        if
        :: HAS(b, p) ->
#ifndef POSITION_FIRST
           store(b, p);
#endif
           ledger[p] = last[AT(b, p)]
        :: else
        fi;
        p++
     :: else -> break
     od;
     reply[b] = DONE
  fi
}

proctype Backend(byte b) {
  byte p, o;
end:
  do
  :: atomic { step[b] == LOCK_0 && lock[0] == 0 -> take_lock(b, 0); step[b] = (HAS(b, 1) -> LOCK_1 : APPLY) }
  :: atomic { step[b] == LOCK_1 && lock[1] == 0 -> take_lock(b, 1); step[b] = APPLY }
  :: atomic { step[b] == APPLY ->
       if :: kind[b] == CLAIM -> apply_claim(b) :: else -> apply_commit(b) fi;
       release(b);
#ifdef POSITION_FIRST
       if
       :: kind[b] == COMMIT && reply[b] == DONE -> reply[b] = NONE; step[b] = APPLY_ROWS
       :: else -> step[b] = IDLE; if :: lost[b] -> forget(b) :: else fi
       fi
  }
  :: atomic { step[b] == APPLY_ROWS ->
       p = 0;
       do
       :: p < PARTITIONS -> if :: HAS(b, p) -> store(b, p) :: else fi; p++
       :: else -> break
       od;
       reply[b] = DONE;
#endif
       step[b] = IDLE;
       p = 0;
       o = 0;
       if :: lost[b] -> forget(b) :: else fi
  }
  od
}

/* A new connection, on the other server process: the old one may still be at work. */
inline connect(w) {
  slot[w] = 1 - slot[w];
  lost[CONN(w)] = false;
  reply[CONN(w)] = NONE;
  state[w] = READY;
#ifdef BLIND_RETRY
  claim_due[w] = batch[AT(w, 0)] == next[AT(w, 0)] && batch[AT(w, 1)] == next[AT(w, 1)]
#else
  forget_place(w, 0);
  forget_place(w, 1);
  claim_due[w] = true
#endif
}

/* The claim that follows tells both anew. */
inline forget_place(w, p) {
  own_epoch[AT(w, p)] = 0;
  next[AT(w, p)] = 0;
  batch[AT(w, p)] = 0
}

inline look_at_assignment(w) {
  changed[w] = false;
  owns[AT(w, 0)] = assigned[0] == w;
  owns[AT(w, 1)] = assigned[1] == w;
  forget_place(w, 0);
  forget_place(w, 1);
  claim_due[w] = true
}

inline send_claim(w, p) {
  first[AT(CONN(w), p)] = 0;
  last[AT(CONN(w), p)] = owns[AT(w, p)];
#ifdef CLAIM_READS_FIRST
  position[AT(CONN(w), p)] = ledger[p]
#endif
}

inline take_claim(w, p) {
  if
  :: owns[AT(w, p)] ->
     own_epoch[AT(w, p)] = with_epoch[AT(CONN(w), p)];
     next[AT(w, p)] = position[AT(CONN(w), p)];
     batch[AT(w, p)] = next[AT(w, p)]
  :: else
  fi
}

inline send_range(w, p) {
  first[AT(CONN(w), p)] = next[AT(w, p)];
  last[AT(CONN(w), p)] = (owns[AT(w, p)] -> batch[AT(w, p)] : next[AT(w, p)]);
  with_epoch[AT(CONN(w), p)] = own_epoch[AT(w, p)]
}

inline send(w, what) {
  kind[CONN(w)] = what;
  reply[CONN(w)] = NONE;
  step[CONN(w)] = (HAS(CONN(w), 0) -> LOCK_0 : (HAS(CONN(w), 1) -> LOCK_1 : APPLY))
}

/* TM001. A stale topic partition leaves, the rest goes again; a position that is not ours: all from the ledger. */
inline take_refusal(w) {
  if
  :: HAS(CONN(w), 0) && stale[AT(CONN(w), 0)] -> owns[AT(w, 0)] = false; forget_place(w, 0); changed[0] = true; changed[1] = true
  :: else
  fi;
  if
  :: HAS(CONN(w), 1) && stale[AT(CONN(w), 1)] -> owns[AT(w, 1)] = false; forget_place(w, 1); changed[0] = true; changed[1] = true
  :: else
  fi;
  if
  :: (HAS(CONN(w), 0) && elsewhere[AT(CONN(w), 0)]) || (HAS(CONN(w), 1) && elsewhere[AT(CONN(w), 1)]) -> forget_place(w, 0); forget_place(w, 1); claim_due[w] = true
  :: else
  fi
}

#define BATCH_EMPTY(w) (batch[AT(w, 0)] == next[AT(w, 0)] && batch[AT(w, 1)] == next[AT(w, 1)])
#define CAN_READ(w, p) (owns[AT(w, p)] && batch[AT(w, p)] < OFFSETS)
#define AT_WORK(w) (state[w] == READY && !lost[CONN(w)])
#define GOES_ON(w) (AT_WORK(w) && !claim_due[w] && !dead_due[w])

proctype Worker(byte w) {
end:
  do
  :: atomic { state[w] == DOWN && step[w * 2 + 1 - slot[w]] == IDLE -> connect(w) }
  :: atomic { state[w] != DOWN && lost[CONN(w)] -> state[w] = DOWN; dead_due[w] = 0 }
  :: atomic { AT_WORK(w) && changed[w] && !dead_due[w] -> look_at_assignment(w) }
  :: atomic { AT_WORK(w) && claim_due[w] && !changed[w] ->
       send_claim(w, 0); send_claim(w, 1); send(w, CLAIM); state[w] = CLAIMING }
  :: atomic { state[w] == CLAIMING && !lost[CONN(w)] && reply[CONN(w)] == DONE ->
       take_claim(w, 0); take_claim(w, 1); claim_due[w] = false; state[w] = READY; forget(CONN(w)) }
  :: atomic { GOES_ON(w) && CAN_READ(w, 0) -> batch[AT(w, 0)]++ }     /* an event is read into the batch */
  :: atomic { GOES_ON(w) && CAN_READ(w, 1) -> batch[AT(w, 1)]++ }
  :: atomic { GOES_ON(w) && !BATCH_EMPTY(w) ->
       send_range(w, 0); send_range(w, 1); send(w, COMMIT); state[w] = COMMITTING }
  :: atomic { state[w] == COMMITTING && !lost[CONN(w)] && reply[CONN(w)] == DONE ->
       next[AT(w, 0)] = batch[AT(w, 0)]; next[AT(w, 1)] = batch[AT(w, 1)]; state[w] = READY;
#ifdef DEAD_OUTSIDE
       dead_due[w] = (HAS(CONN(w), 0) && last[AT(CONN(w), 0)] == OFFSETS) + 2 * (HAS(CONN(w), 1) && last[AT(CONN(w), 1)] == OFFSETS);
#endif
       forget(CONN(w))
  }
#ifdef DEAD_OUTSIDE
  :: atomic { AT_WORK(w) && dead_due[w] ->
       outcomes[ROW(0, OFFSETS - 1)] = outcomes[ROW(0, OFFSETS - 1)] + (dead_due[w] & 1);
       outcomes[ROW(1, OFFSETS - 1)] = outcomes[ROW(1, OFFSETS - 1)] + (dead_due[w] >> 1);
       dead_due[w] = 0 }
#endif
  :: atomic { state[w] == COMMITTING && !lost[CONN(w)] && reply[CONN(w)] == REFUSED -> state[w] = READY; take_refusal(w); forget(CONN(w)) }
  od
}

inline crash(w) {
  state[w] = DOWN;
  lose(CONN(w));
  owns[AT(w, 0)] = false;
  owns[AT(w, 1)] = false;
  forget_place(w, 0);
  forget_place(w, 1);
  claim_due[w] = false;
  dead_due[w] = 0;
  changed[w] = true
}

/* The server process ends and rolls back what it had not committed. */
inline terminate(b) {
  step[b] = IDLE;
  release(b);
  lose(b)
}

/* A connection is cut, and the server does not know. */
inline cut(b) {
  !lost[b];
  lose(b)
}

/* The reaper, or an administrator, ends one server process. */
inline end_one(b) {
  (!lost[b] || step[b] != IDLE);
  terminate(b)
}

proctype Faults() {
  do
  :: atomic { faults > 0 -> faults--;
       if
       :: crash(0)
       :: crash(1)
       :: terminate(0); terminate(1); terminate(2); terminate(3)    /* the database restarts */
       :: cut(0) :: cut(1) :: cut(2) :: cut(3)
       :: end_one(0) :: end_one(1) :: end_one(2) :: end_one(3)
       fi
     }
  :: atomic { rebalances > 0 -> rebalances--;
       if :: assigned[0] = 0 :: assigned[0] = 1 fi;
       if :: assigned[1] = 0 :: assigned[1] = 1 fi;
       changed[0] = true;
       changed[1] = true
     }
  :: faults == 0 && rebalances == 0 -> break
  od
}

/* When nothing moves any more, everything has been stored. (All faults have come by then; that fewer of them leave nobody stuck, smaller numbers of them show.) */
proctype Monitor() {
  byte p, o;
  timeout;
  p = 0;
  do
  :: p < PARTITIONS ->
     assert(ledger[p] == OFFSETS);
     o = 0;
     do
     :: o < OFFSETS -> assert(outcomes[ROW(p, o)] == 1); o++    /* lost */
     :: else -> break
     od;
     p++
  :: else -> break
  od
}

init {
  atomic {
    assigned[1] = 1;
    run Backend(0); run Backend(1); run Backend(2); run Backend(3);
    run Worker(0); run Worker(1);
    run Faults();
    run Monitor()
  }
}
