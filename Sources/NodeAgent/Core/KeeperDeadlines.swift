// K3 and K4 for one pod: what its deadlines ask for now, and when to look again.
// Knows leases, tolerations and clocks; containers only as far as the way out needs them.

import ClusterProto

extension KeeperPod {
  /// Does what is due by this time. Called before any other word is heard, so that a late renewal never revives a pod
  /// past D.
  mutating func enforceDeadlines(_ turn: inout KeeperTurn) {
    let now = turn.now.boot
    if isUnstarted, ending == nil, let activeDeadline, activeDeadline <= now {
      end(.deadlineExceeded, killAt: now, &turn)
    }
    guard mayRun, !killed else { return }
    switch freeze {
    case .frozen(let since):
      if now >= since + turn.configuration.frozenKillMilliseconds { endFrozen(.leaseLost, &turn) }
    case .freezing(let since):
      if now >= since + turn.configuration.freezeConfirmMilliseconds { endFrozen(.leaseLost, &turn) }
    case .none, .thawing:
      enforceLease(&turn)
    }
    guard !killed else { return }
    if let activeDeadline, activeDeadline <= now, ending == nil {
      end(.deadlineExceeded, killAt: now + graceMilliseconds, &turn)
    }
    if let ending, ending.killAt <= now, !cutHooks(&turn), ending.dueAt <= now { kill(&turn) }
  }

  private mutating func enforceLease(_ turn: inout KeeperTurn) {
    guard let deadline else { return }
    let now = turn.now.boot
    if now >= deadline {
      // A pod that is on its way out anyway, one without a cgroup yet, and one that must not stop twice: dead is as
      // safe as frozen.
      if killsAtLeaseEnd || ending != nil || stage == .starting || freeze == .thawing {
        endFrozen(.leaseLost, &turn)
      } else {
        freeze = .freezing(since: now)
        turn.effects.append(.freezePod(attempt))
      }
    } else if killsAtLeaseEnd, ending == nil, let warning = killWarning, now >= warning {
      end(.leaseLost, killAt: deadline, &turn)
    }
  }

  /// `on-lease-end: kill`: SIGTERM at max(lease end, D − grace), so that grace never extends D.
  private var killWarning: BootTime? {
    guard killsAtLeaseEnd, let deadline else { return nil }
    return max(leaseEnd, deadline - graceMilliseconds)
  }

  private mutating func endFrozen(_ cause: EndCause, _ turn: inout KeeperTurn) {
    if ending == nil { ending = Ending(cause: cause, killAt: turn.now.boot) }
    kill(&turn)
  }

  /// It stands still: as asked for, or because its init met its own deadline before our renewal did.
  mutating func frozen(_ turn: inout KeeperTurn) {
    guard mayRun, !killed else { return }
    switch freeze {
    case .frozen: return
    case .freezing: freeze = .frozen(since: turn.now.boot)
    case .none, .thawing:
      // As at D: what has no use for a freeze is dead instead.
      guard !killsAtLeaseEnd, ending == nil, stage == .running else { return endFrozen(.leaseLost, &turn) }
      freeze = .frozen(since: turn.now.boot)
    }
  }

  /// What cannot be frozen is killed: D holds either way.
  mutating func freezeFailed(_ turn: inout KeeperTurn) {
    guard mayRun, !killed else { return }
    if case .frozen = freeze { return }
    endFrozen(.leaseLost, &turn)
  }

  /// The coordinator's word that the attempt is still current. It counts only under a lease that has not ended (K2).
  mutating func thaw(_ turn: inout KeeperTurn) {
    guard case .frozen = freeze, !killed, turn.now.boot < leaseEnd else { return }
    freeze = .thawing
    turn.effects.append(.thawPod(attempt))
  }

  mutating func thawed(_ turn: inout KeeperTurn) {
    guard freeze == .thawing else { return }
    freeze = .none
    resumeProbes(&turn)
    enforceDeadlines(&turn)
    advance(&turn)
  }

  /// K4: until when the keeper itself may live on without having dealt with this pod; nil: it holds no danger.
  var dangerAt: BootTime? {
    guard mayRun, !killed else { return nil }
    if case .frozen = freeze { return nil }
    return deadline
  }

  /// K4: what the pod's own init holds. Frozen by us it needs no deadline: it runs again only by our order, which comes
  /// with a new one.
  var ownDeadline: BootTime {
    if case .frozen = freeze { return .never }
    return deadline ?? .never
  }

  /// The next time at which `enforceDeadlines` or `advance` has something to do; nil: not before the next word.
  func nextWake(_ configuration: KeeperConfiguration) -> BootTime? {
    if isUnstarted { return activeDeadline }
    guard mayRun, !killed else { return nil }
    var next = endWake
    if ending == nil { next = earliest(next, activeDeadline) }
    switch freeze {
    case .frozen(let since): return earliest(next, since + configuration.frozenKillMilliseconds)
    case .freezing(let since): return earliest(next, since + configuration.freezeConfirmMilliseconds)
    case .none, .thawing: break
    }
    next = earliest(next, deadline)
    if ending == nil { next = earliest(next, killWarning) }
    if stage == .running, freeze == .none {
      for slot in slots {
        if slot.run == .ended {
          if ending == nil { next = earliest(next, slot.retryAt) }
        } else if let due = slot.care.nextWake(ending: ending != nil) {
          next = earliest(next, due)
        }
      }
    }
    return next
  }
}
