/*
 * The fencing protocol as a model for Spin: one pod's work, the node that has its first attempt, the coordinator, and
 * everything that may happen between them. Its one claim is the first promise: of one pod's work at most one attempt
 * runs, and at most one success is counted.
 *
 * Names are the code's: leaseReach, longestLease, fenceTime in Fleet/, leaseEnd, deadline, stage, frozen,
 * enforceDeadlines, isOver of the keeper. A rule is taken out by -DWITHOUT_<rule>; run.sh takes out each in turn and wants
 * to see the claim fail, so that no rule is in the model for nothing.
 *
 * Bounds: time is in ticks, of which the node's clock may lose DRIFT (what the factor 1.05 pays for). Two coordinators
 * (one restart), two keepers, one stop of the keeper, one restored backup, one other machine of the same name. The second
 * attempt begins in the same instant in which it is assigned, on a node that never fails: nothing could be worse.
 *
 * Not here, because no copy can come of it: C5 (whom a fenced attempt is charged to), C6 (mass loss), C7 (who is taken
 * for lost, and when): the model takes the node for lost at any time.
 */
#define LONG_LEASE 2
#define SHORT_LEASE 1
#define TOLERATION 1
#define DRIFT 1
#define END 6
#ifndef ANSWERS
#define ANSWERS 1        /* how many answers are on their way to the node at a time */
#endif
#ifndef FAULTS
#define FAULTS 2         /* how many of restart, restore, impostor, stop, death may happen in one run */
#endif

mtype:stage = { waiting, running, gone };
mtype:attempt = { unassigned, desired, fenced, succeeded, failed };
mtype:word = { heartbeat, registration, impostor, report };

/* ---- time ---- */
byte now;             /* the coordinator's clock */
byte boot;            /* the node's CLOCK_BOOTTIME: as now, but for what it has lost */

/* ---- the node: keeper, init, processes of attempt 1 ---- */
mtype:stage stage = waiting;
bool frozen;          /* freeze == .frozen */
byte copies;          /* processes of attempt 1 that execute */
bool isOver;          /* KeeperMemory: started before, or over; never started again */
byte keeper = 1;      /* the keeper's number */
bool keeperStopped;   /* SIGSTOP */
byte deadline;        /* D = leaseEnd + toleration, in the keeper and in the init's own word */
bool hasReport, reportedSuccess;

/* ---- the coordinator; durable ---- */
mtype:attempt first = unassigned;
mtype:attempt second = unassigned;
byte addressed;       /* the keeper that attempt 1 is addressed to */
byte longestLease;
byte successes;
/* ---- the coordinator; in memory ---- */
byte lease = LONG_LEASE;
byte leaseReach;      /* when the last lease ends that any answer has given */
byte holdUntil;       /* C4: nothing is assigned before */

byte restarts, restores, impostors, stops, deaths;

/* what; the node's boot clock at sending; keeper; whether it ended well */
chan toCoordinator = [1] of { mtype:word, byte, byte, bool };
/* sequence's sending time; lease; whether attempt 1 is listed as desired; whom it is addressed to */
chan toNode = [ANSWERS] of { byte, byte, bool, byte };

/* Rules that are conditions: RULE(condition) is true where the rule is taken out. */
#ifdef WITHOUT_K1_ONCE
#define ONCE(condition) true
#else
#define ONCE(condition) (condition)
#endif
#ifdef WITHOUT_K1_LEASE
#define UNDER_LEASE(condition) true
#else
#define UNDER_LEASE(condition) (condition)
#endif
#ifdef WITHOUT_K1_KEEPER
#define BY_KEEPER(condition) true
#else
#define BY_KEEPER(condition) (condition)
#endif
#ifdef WITHOUT_K2_LISTED
#define LISTED(condition) true
#else
#define LISTED(condition) (condition)
#endif
#ifdef WITHOUT_K3_THAW
#define BY_WORD(condition) true
#else
#define BY_WORD(condition) (condition)
#endif

#define STRUCK (restarts + restores + impostors + stops + deaths)
/* Nothing but a late report can change anything then. */
#define OVER (first == succeeded || second == succeeded)
#define EXECUTING (copies + (second == desired))

inline claim() {
  assert(EXECUTING <= 1);
  assert(successes <= 1)
}

/* K3 and K4: what stops processes at D. The init's timer is the kernel's and waits for nobody. */
inline enforceDeadlines() {
  if
  :: stage == running && !frozen && boot >= deadline ->
#ifdef WITHOUT_K3_FREEZE
    skip
#else
#ifdef WITHOUT_K4
    if
    :: !keeperStopped -> frozen = true; copies = 0
    :: else -> skip
    fi
#else
    frozen = true; copies = 0
#endif
#endif
  :: else -> skip
  fi
}

/* Time passes, everywhere at once; the node's clock may miss a tick. */
active proctype Clock() {
  do
  :: atomic {
      now < END && !OVER ->
      now++;
      if
      :: boot++
      :: now - boot <= DRIFT -> skip
      fi;
      enforceDeadlines()
    }
  :: now == END || OVER -> break
  od
}

/* ---------------------------------------------------------------- the coordinator */

#ifdef WITHOUT_C1_STRETCH
#define FENCE_TIME (leaseReach + TOLERATION)
#else
#define FENCE_TIME (leaseReach + TOLERATION + DRIFT)
#endif

inline giveLease() {
#ifdef WITHOUT_C1_REACH
  leaseReach = now + lease;
#else
  if
  :: leaseReach < now + lease -> leaseReach = now + lease
  :: else -> skip
  fi;
#endif
  if
  :: longestLease < lease -> longestLease = lease
  :: else -> skip
  fi
}

/* What was read is no state. */
inline forgetWord() { sentAt = 0; from = 0; well = false }

active proctype Coordinator() {
  byte sentAt, from; bool well;
  do
  /* A heartbeat is answered; an assignment is durable before it leaves, and goes with an answer. */
  :: atomic {
      nempty(toCoordinator) && nfull(toNode) && toCoordinator?[heartbeat] ->
      toCoordinator?heartbeat, sentAt, from, well;
      if
      :: first == unassigned && now >= holdUntil && second == unassigned && restores == 0 ->
        first = desired; addressed = from
      :: true
      fi;
      if
      :: first == desired -> giveLease()
      :: else -> skip
      fi;
      toNode!sentAt, lease, (first == desired), (first == desired -> addressed : 0);
      forgetWord()
    }
  /* The first half of (iii): the successor of the keeper has swept; nothing of its predecessor runs any more. */
  :: atomic {
      toCoordinator?[registration] -> toCoordinator?registration, sentAt, from, well;
      if
      :: first == desired && from != addressed -> first = fenced
      :: else -> skip
      fi;
      forgetWord()
    }
  /* C3: another machine of the same name, with a copy of the directory. It proves nothing. */
  :: atomic {
      toCoordinator?[impostor] -> toCoordinator?impostor, sentAt, from, well;
#ifdef WITHOUT_C3
      if
      :: first == desired -> first = fenced
      :: else -> skip
      fi;
#endif
      forgetWord()
    }
  /* (i): the keeper that held the attempt says how it ended. C8: of one that is fenced it counts for nothing. */
  :: atomic {
      toCoordinator?[report] -> toCoordinator?report, sentAt, from, well;
      if
      :: first == desired && well -> first = succeeded; successes++
      :: first == desired && !well -> first = failed
#ifdef WITHOUT_C8
      :: first == fenced && well -> successes++
#endif
      :: else -> skip
      fi;
      forgetWord();
      claim()
    }
  /* (iv): the clock has passed R. */
  :: atomic { first == desired && now >= FENCE_TIME -> first = fenced }
  /* The work starts elsewhere. */
  :: atomic {
      (first == fenced || first == failed || first == unassigned) && second == unassigned && now >= holdUntil ->
      second = desired; claim()
    }
  :: atomic { second == desired -> second = succeeded; successes++; claim() }
  /* It crashes and comes back, perhaps with a shorter lease. C2: R counts from the start, with the longest lease. */
  :: atomic {
      restarts < 1 && STRUCK < FAULTS -> restarts++;
      if
      :: lease = SHORT_LEASE
      :: true
      fi;
#ifdef WITHOUT_C2
      leaseReach = now + lease;
#else
      leaseReach = now + (longestLease > lease -> longestLease : lease);
#endif
#ifdef WITHOUT_COMMIT
      if
      :: first = unassigned
      :: true
      fi
#endif
    }
  /* C4: a backup of before the assignment is restored; its numbers begin above all, and it waits. */
  :: atomic {
      restores < 1 && STRUCK < FAULTS && second == unassigned && successes == 0 -> restores++;
      first = unassigned;
#ifndef WITHOUT_C4
      holdUntil = now + LONG_LEASE + TOLERATION + DRIFT
#endif
    }
  :: now == END -> break
  od
}

/* ---------------------------------------------------------------- the node */

/* K1: an attempt starts once, under a lease that has not ended, by the keeper that it is addressed to. */
inline start(leaseEnd, to) {
  if
  :: ONCE(!isOver) && UNDER_LEASE(leaseEnd > boot) && BY_KEEPER(to == keeper) && copies < 2 ->
    stage = running; frozen = false; copies++; isOver = true;
    deadline = (leaseEnd > boot -> leaseEnd : boot) + TOLERATION
  :: else -> skip
  fi
}

/* K2: the lease counts from the sending of the heartbeat, and renews what the answer lists. K3: only that thaws. */
inline hear(sentAt, given, listed, to) {
#ifdef WITHOUT_K2_SENDING
  leaseEnd = boot + given;
#else
  leaseEnd = sentAt + given;
#endif
  if
  :: stage == running && leaseEnd > boot && LISTED(listed) && deadline < leaseEnd + TOLERATION ->
    deadline = leaseEnd + TOLERATION
  :: else -> skip
  fi;
  if
  :: stage == running && frozen && BY_WORD(listed && leaseEnd > boot) -> frozen = false; copies = 1
  :: listed && (stage == waiting || ONCE(false)) -> start(leaseEnd, to)
  :: else -> skip
  fi;
  leaseEnd = 0;
  claim()
}

inline forgetAnswer() { sentAt = 0; given = 0; listed = false; to = 0 }

active proctype Node() {
  byte sentAt, given, to, leaseEnd; bool listed;
  do
  :: atomic { nfull(toCoordinator) && !OVER -> toCoordinator!heartbeat, boot, keeper, false }
  /* An answer is heard, however late, perhaps twice (from a connection before), or never. */
  :: atomic {
      nempty(toNode) && !keeperStopped && !OVER -> toNode?sentAt, given, listed, to;
      hear(sentAt, given, listed, to);
      forgetAnswer()
    }
  :: atomic {
      nempty(toNode) && !keeperStopped && !OVER -> toNode?<sentAt, given, listed, to>;
      hear(sentAt, given, listed, to);
      forgetAnswer()
    }
  /* The work ends. */
  :: atomic {
      stage == running && copies == 1 && !keeperStopped -> stage = gone; copies = 0; deadline = 0; hasReport = true;
      if
      :: reportedSuccess = true
      :: reportedSuccess = false
      fi
    }
  :: atomic { hasReport && nfull(toCoordinator) ->
      hasReport = false; toCoordinator!report, 0, keeper, reportedSuccess; reportedSuccess = false
    }
  /* SIGSTOP of the keeper, and SIGCONT: what is due then is due at once, before any other word. */
  :: atomic { stops < 1 && STRUCK < FAULTS && stage == running -> stops++; keeperStopped = true }
  :: atomic { keeperStopped -> keeperStopped = false; enforceDeadlines() }
  /* The keeper dies, its pods with it; a successor on the same directory sweeps and registers. */
  :: atomic {
      deaths < 1 && STRUCK < FAULTS && nfull(toCoordinator) && !OVER -> deaths++;
      keeper++; keeperStopped = false; copies = 0; frozen = false; deadline = 0; hasReport = false; reportedSuccess = false;
      stage = (stage == waiting -> waiting : gone);
      toCoordinator!registration, 0, keeper, false
    }
  /* Somebody else uses the name. */
  :: atomic { impostors < 1 && STRUCK < FAULTS && nfull(toCoordinator) && first == desired -> impostors++; toCoordinator!impostor, 0, 9, false }
  :: now == END -> break
  od
}
