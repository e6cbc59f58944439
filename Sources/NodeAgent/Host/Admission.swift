// Owns: that a machine has an identity before its agent begins: by the token once, by its key when the certificate
// ended while the machine was off. It waits for the coordinator as long as that takes. It must not know sessions.

import ClusterIO
import ClusterProto
import Glibc

/// A coordinator of no authority that this machine believes.
enum ForeignAuthority {
  /// What to do about it.
  static func advice(_ node: String) -> String {
    "either this is another cluster's address, or the cluster's authority was exchanged (stint ca rotate) meanwhile. "
      + "Then make a token where the coordinator runs (stint token create --node \(node)) and start the agent of this "
      + "machine with it (stint agent --join); its key and its pods stay"
  }
}

/// The way into a cluster.
enum Admission {
  private static let firstPause: Int32 = 250
  private static let longestPause: Int32 = 5_000

  /// Returns once the data directory has an identity that counts, or another hand gives it one. Throws what a person
  /// has to mend.
  static func admit(_ options: AgentOptions, paths: NodePaths, addresses: [SocketAddress]) throws(IOError) {
    if options.authority != nil {
      if geteuid() == 0, options.podUser == nil {
        HostLog.line(
          "agent: pods run as root on the coordinator's machine and can read its authority: whoever may make pods may"
            + " do everything. Give it --pod-user, or leave pods to other machines, before others than you may")
      }
      return
    }
    let found = try Identity.found(in: paths.identity)
    if let problem = options.joinProblem {
      HostLog.line("agent: the join token cannot be used, and this machine may need none: \(problem)")
    }
    if let found, !found.hasEnded {
      if options.join != nil {
        HostLog.line("agent: this machine is node \(found.node ?? "?") already: the join token is not needed")
      }
      return
    }
    if let found {
      // By the key; a token is the second way.
      HostLog.line("agent: the certificate of node \(found.node ?? "?") has ended: asking for the next one by its key")
      let believed = Certificates.keyDigests(ofBundle: found.authority)
      let refusal = try ask(options, paths, addresses, digests: believed, token: nil, key: found.own.key)
      guard let refusal else { return }
      guard options.join != nil else { throw refusal }
      HostLog.line("agent: \(refusal.message)")
    }
    guard let token = options.join else { return }
    let key: [UInt8]
    if let found { key = found.own.key } else { key = try Identity.pendingKey(directory: paths.identity) }
    let refusal = try ask(options, paths, addresses, digests: [token.authority], token: token, key: key)
    if let refusal { throw refusal }
  }

  /// nil: there is an identity now; else the coordinator's word why not.
  private static func ask(
    _ options: AgentOptions, _ paths: NodePaths, _ addresses: [SocketAddress], digests: [String], token: JoinToken?,
    key: [UInt8]
  ) throws(IOError) -> IOError? {
    let loop = try EventLoop()
    let names = try NameResolver(loop: loop)
    defer { withExtendedLifetime(names) {} }
    var pause = firstPause
    while true {
      var outcome: Joiner.Outcome?
      let joiner = try Joiner(
        loop: loop, names: names, addresses: addresses, digests: digests, token: token, node: options.name, key: key
      ) { outcome = $0 }
      try withExtendedLifetime(joiner) { () throws(IOError) in try loop.run(until: { outcome != nil }) }
      switch outcome {
      case .joined(let identity, let cluster):
        try identity.write(directory: paths.identity)
        let lines = addresses.map { "\($0)\n" }.joined()
        try Files.writeAtomically(paths.coordinators, Array(lines.utf8))
        HostLog.line("agent: this machine is node \(options.name) of cluster \(cluster) now")
        return nil
      case .refused(let reason, nil): return IOError(operation: "join", subject: options.name, message: reason)
      case .unreachable(let reason, isFinal: true):
        let advice = ForeignAuthority.advice(options.name)
        return IOError(operation: "join", subject: options.name, message: "\(reason): \(advice)")
      case .refused(let reason, let retry?):
        HostLog.line("agent: not yet: \(reason)")
        wait(Int32(clamping: max(retry, 100)))
      case .unreachable(let reason, isFinal: false):
        HostLog.line("agent: no coordinator yet (\(reason)); trying again")
        wait(pause)
        pause = min(pause * 2, longestPause)
      case nil: break
      }
    }
  }

  private static func wait(_ milliseconds: Int32) {
    LineWriter.standardError.flush()
    poll(nil, 0, milliseconds)
  }
}
