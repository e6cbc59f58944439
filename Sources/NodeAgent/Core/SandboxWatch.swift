// Whether pods can be started on this machine, and their starts written down: asked again, ever more rarely, while they
// cannot, and whenever one could not be or went without our doing. Knows nothing of namespaces nor of files; what it
// means for the node is the coordinator's.

import ClusterProto

/// When the keeper has the shell try an empty pod.
struct SandboxWatch {
  static let firstPause: Int64 = 1_000
  static let longestPause: Int64 = 30_000

  /// A try is under way.
  var isProbing = false
  /// When the next one begins; nil: none is due.
  var due: BootTime?
  /// From the last failure to the next try.
  var pause: Int64 = 0
  /// When the last one ended.
  var probedAt = BootTime(milliseconds: 0)
  /// Why the keeper's journal cannot be written; nil: it can. Then nothing may be started (K1).
  var journalTrouble: String?
  /// A record is on its way that only tries that.
  var isTryingJournal = false
  /// What the last try of a pod that worked said.
  var detail = ""
}

extension KeeperCore {
  /// A pod could not be started, or is gone and nobody knows why. Many at once cause one try.
  mutating func doubtSandbox(_ now: BootTime) {
    guard !sandbox.isProbing else { return }
    let soon = max(now, sandbox.probedAt + SandboxWatch.firstPause)
    sandbox.due = earliest(sandbox.due, soon)
  }

  mutating func sandboxProbed(works: Bool, detail: String, _ turn: inout KeeperTurn) {
    if works, sandbox.journalTrouble != nil {
      // A record that says nothing: whether it can be written is the answer.
      sandbox.detail = detail
      sandbox.isTryingJournal = true
      turn.effects.append(contentsOf: memory.record([.acknowledged([])]))
    } else {
      endTry(works: works, detail: detail, &turn)
    }
  }

  /// The journal has answered: where nothing can be written nothing may be started (K1), and the node says why.
  mutating func noteJournal(_ error: String?, _ turn: inout KeeperTurn) {
    let wasTry = sandbox.isTryingJournal
    sandbox.isTryingJournal = false
    if let error {
      let trouble = "the keeper's journal cannot be written: \(error)"
      sandbox.journalTrouble = trouble
      if wasTry { endTry(works: false, detail: trouble, &turn) } else { tell(works: false, detail: trouble, &turn) }
    } else if wasTry {
      sandbox.journalTrouble = nil
      endTry(works: true, detail: sandbox.detail, &turn)
    }
  }

  private mutating func endTry(works: Bool, detail: String, _ turn: inout KeeperTurn) {
    sandbox.isProbing = false
    sandbox.probedAt = turn.now.boot
    sandbox.due = nil
    if works {
      sandbox.pause = 0
    } else {
      sandbox.pause = min(max(SandboxWatch.firstPause, sandbox.pause * 2), SandboxWatch.longestPause)
    }
    tell(works: works, detail: detail, &turn)
  }

  private mutating func tell(works: Bool, detail: String, _ turn: inout KeeperTurn) {
    guard noteSandbox(works: works, detail: detail) else { return }
    turn.effects.append(.log(works ? "pods can be started again: \(detail)" : detail))
    turn.effects.append(.endAgentConnection)
  }

  /// Asks for the tries that are due.
  mutating func settleSandbox(_ turn: inout KeeperTurn) {
    guard !sandbox.isProbing, !isShuttingDown else { return }
    if sandbox.due == nil, !start.fencesFully {
      sandbox.due = turn.now.boot + max(SandboxWatch.firstPause, sandbox.pause)
    }
    guard let due = sandbox.due, due <= turn.now.boot else { return }
    sandbox.due = nil
    sandbox.isProbing = true
    turn.effects.append(.probeSandbox)
  }
}
