// Owns: that a machine has an identity before its agent begins: by the token once, by its key when the certificate
// ended while the machine was off. It waits for the coordinator as long as that takes. It must not know sessions.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// A coordinator of no authority that this machine believes.
enum ForeignAuthority {
  /// What to do about it.
  static func advice(_ options: AgentOptions) -> String {
    let local = options.authority.map { ", and the authority in --authority \($0) is not its either" } ?? ""
    return "either this is another cluster's address, or the cluster's authority was exchanged (stint ca rotate) "
      + "meanwhile\(local). Then make a token where the coordinator runs (stint token create --node \(options.name)) "
      + "and start the agent of this machine with it (stint agent --join); its key and its pods stay"
  }
}

/// The way into a cluster.
enum Admission {
  private static let firstPause: Int32 = 250
  private static let longestPause: Int32 = 5_000
  private static let longestWaitForAuthority: Int64 = 30_000_000_000

  /// Returns once the data directory has an identity that counts, or another hand gives it one. Throws what a person
  /// has to mend.
  static func admit(_ options: AgentOptions, paths: NodePaths, addresses: [SocketAddress]) throws(IOError) {
    if let problem = options.joinProblem {
      HostLog.line("agent: the join token cannot be used, and this machine may need none: \(problem)")
    }
    if let directory = options.authority, try isAdmitted(by: directory, options, paths) { return }
    let found = try Identity.found(in: paths.identity)
    if let found, !found.hasEnded { return noteToken(options, found) }
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

  private static func noteToken(_ options: AgentOptions, _ found: Identity) {
    guard let token = options.join else { return }
    let isOwn = Certificates.keyDigests(ofBundle: found.authority).contains(token.authority)
    HostLog.line(
      "agent: this machine is node \(found.node ?? "?") already: "
        + (isOwn
          ? "the join token is not needed"
          : "the join token is of another authority than its certificate, and used only if the coordinator is, too"))
  }

  /// What the authority in the coordinator's data directory `directory` does: it makes an identity where there is none,
  /// and gives way to the one that another authority has made. False: there is none there, and it is not needed. One
  /// that is wanted and not there yet is waited for: both programs may have been started at once.
  private static func isAdmitted(
    by directory: String, _ options: AgentOptions, _ paths: NodePaths
  ) throws(IOError) -> Bool {
    let limit = Clocks.boot() + longestWaitForAuthority
    var isFirst = true
    while true {
      do throws(IOError) {
        let authorities = try Authorities(below: "\(directory)/pki")
        let isKnown = (try? Identity.found(in: paths.identity)) != nil
        if !isKnown, let token = options.join,
          !Certificates.keyDigests(ofBundle: authorities.bundle).contains(token.authority)
        {
          HostLog.line("agent: the join token is of another authority than --authority \(directory), which is not used")
          return false
        }
        warnOfRoot(options)
        let own = try Identity.local(directory: paths.identity, node: options.name, coordinator: directory)
        tellOfTwo(own, authorities, directory)
        return true
      } catch {
        let isMissing = error.code == ENOENT || error.code == ENOTDIR
        if let found = try Identity.found(in: paths.identity) {
          HostLog.line(
            "agent: --authority \(directory) is not used, and this machine is node \(found.node ?? "?") without it: "
              + "\(error)"
          )
          return false
        }
        if isMissing, options.join != nil {
          HostLog.line("agent: --authority \(directory) is not used, there is a join token: \(error)")
          return false
        }
        let advice =
          "--authority is the data directory of a coordinator on this machine, whose authority makes this machine a "
          + "node. On any other machine start the agent with a token instead: stint token create, on the coordinator's "
          + "machine, prints the command"
        guard isMissing, Clocks.boot() < limit else { throw error.advising(advice) }
        if isFirst { HostLog.line("agent: waiting for a coordinator to make its authority: \(error): \(advice)") }
        isFirst = false
        wait(firstPause)
      }
    }
  }

  private static func warnOfRoot(_ options: AgentOptions) {
    guard geteuid() == 0, options.podUser == nil else { return }
    HostLog.line(
      "agent: pods run as root on the coordinator's machine and can read its authority: whoever may make pods may"
        + " do everything. Give it --pod-user, or leave pods to other machines, before others than you may")
  }

  private static func tellOfTwo(_ own: Identity, _ authorities: Authorities, _ directory: String) {
    guard Certificates.signer(of: own.own.certificate, among: authorities.bundle) == nil else { return }
    let other = Certificates.keyDigests(ofBundle: authorities.bundle).first ?? ""
    HostLog.line(
      "agent: --authority \(directory) is not used: this node's identity is of authority "
        + "\((own.signer ?? "none").prefix(16)), and that directory's is \(other.prefix(16)). Where the coordinator "
        + "was moved to another machine, start the agent without --authority. Only if no coordinator takes the "
        + "identity, and one is of that directory's authority, it is made anew")
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
    var told = ToldReasons()
    func tell(_ text: String) {
      if told.isNews(text, at: BootTime(milliseconds: Clocks.boot() / 1_000_000)) { HostLog.line("agent: \(text)") }
    }
    let list = addresses.map(\.description).joined(separator: ", ")
    HostLog.line("agent: asking \(list) for a certificate of node \(options.name)")
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
        let advice = ForeignAuthority.advice(options)
        return IOError(operation: "join", subject: options.name, message: "\(reason): \(advice)")
      case .refused(let reason, let retry?):
        tell("not yet: \(reason)")
        wait(Int32(clamping: max(retry, 100)))
      case .unreachable(let reason, isFinal: false):
        tell("no coordinator yet (\(reason)); trying again")
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
