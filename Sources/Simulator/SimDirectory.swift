// A simulated data directory and a simulated machine's identities: what survives a process, and what a copy shares.
// Knows no faults.

import AgentCore
import ClusterProto

/// What agent and keeper keep on disk.
final class SimDirectory {
  /// Device, inode and birth: what the real register holds itself against.
  let identity: String
  var journal: [KeeperRecord] = []
  var highestIncarnation: Int64 = 0
  var incarnationMark = ""
  private var register = KeeperRegister()

  init(identity: String) { self.identity = identity }

  /// As it is now, somewhere else.
  func copy(identity: String) -> SimDirectory {
    let copy = SimDirectory(identity: identity)
    copy.journal = journal
    copy.highestIncarnation = highestIncarnation
    copy.incarnationMark = incarnationMark
    copy.register = register
    return copy
  }

  func enter(_ keeper: String, bootID: String, freshMark: String) -> KeeperRegister.Entry {
    register.enter(
      keeper, at: KeeperPlace(directory: identity, isLasting: true, bootID: bootID, sight: "1"),
      freshMark: freshMark)
  }
}

/// What a machine says that it is.
final class SimMachine {
  let machineID: String
  let hardwareID: String
  private let kernel: String
  private var boots = 0

  init(index: Int, hardwareID: String) {
    machineID = "machine-\(index)"
    self.hardwareID = hardwareID
    kernel = "boot-\(index)"
  }

  /// Another machine of the same image.
  init(imageOf other: SimMachine, hardwareID: String, kernel: String) {
    machineID = other.machineID
    self.hardwareID = hardwareID
    self.kernel = kernel
  }

  var bootID: String { "\(kernel)-\(boots)" }

  func boot() { boots += 1 }
}
