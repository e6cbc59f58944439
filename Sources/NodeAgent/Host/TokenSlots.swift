// Owns: the directories of the tokens that nearly every pod has, DATA/tokens/NUMBER, used by one pod after another, and
// with them those of its network files: to make directory and files anew for each would cost more than its start. It
// must not know what tokens and files say.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Synchronization

/// Hands out directories with `token`, `ca.crt` and `namespace`. Any thread may ask; one attempt's calls are in order.
final class TokenSlots: Sendable {
  private struct Slot {
    var owner: AttemptNumber?
    /// Authority and namespace that its files are known to hold.
    var content: [String] = []
    /// The namespace of the pods that have written into its network files, where they are known to be there.
    var network: String?
    /// They are the owner's.
    var isNetworkTaken = false
  }

  private struct Slots {
    var all: [Int: Slot] = [:]
    /// Those of attempts, and those of nobody; the last was given back last.
    var taken: [AttemptNumber: Int] = [:]
    var free: [Int] = []

    mutating func add(_ number: Int, _ owner: AttemptNumber?) {
      all[number] = Slot(owner: owner)
      if let owner { taken[owner] = number } else { free.append(number) }
    }

    /// The attempt's own, else one that nobody has, of those with that content if there is one, else a new one.
    /// Whatever fails then, nothing is known of its files.
    mutating func take(_ attempt: AttemptNumber, _ content: [String]) -> (number: Int, isKnown: Bool) {
      var number = taken[attempt]
      if number == nil, let position = free.lastIndex(where: { all[$0]?.content == content }) ?? free.indices.last {
        number = free.remove(at: position)
      }
      let result = number ?? (all.keys.max() ?? 0) + 1
      let isKnown = all[result]?.content == content
      all[result] = Slot(owner: attempt, network: all[result]?.network)
      taken[attempt] = result
      return (result, isKnown)
    }
  }

  private let directory: String
  private let slots: Mutex<Slots>
  private static let volume = VolumeSpec(json: PodToken.usualVolumeSpec)

  /// Slots that a former agent has given to attempts are theirs until `giveBack`.
  init(directory: String) throws(IOError) {
    self.directory = directory
    try Files.makeDirectory(directory)
    var found = Slots()
    for name in try Files.list(directory) {
      guard let number = Int(name) else { continue }
      let owner = (try? Files.readLine("\(directory)/\(name)/owner")).flatMap { AttemptNumber($0) }
      found.add(number, owner)
    }
    slots = Mutex(found)
  }

  /// Attempts that have one.
  var owners: [AttemptNumber] { slots.withLock { $0.taken.keys.sorted() } }

  /// Whether the volume is the usual one, nobody's own of that name, of no group, and nothing is mounted in it: mount
  /// points are made in a volume, and the next pod would find them.
  static func serves(_ volume: VolumeSpec, of spec: PodSpec) -> Bool {
    guard volume == Self.volume, spec.security.fsGroup == nil else { return false }
    return !(spec.containers + spec.initContainers).contains { container in
      let points = (container.mounts.map(\.mountPath) + [container.terminationMessagePath]).map(MountPlan.normalized)
      return container.mounts.contains { mount in
        mount.name == volume.name && points.contains { PathText.isBelow($0, MountPlan.normalized(mount.mountPath)) }
      }
    }
  }

  /// The directory of an attempt; nil: it has none.
  func path(of attempt: AttemptNumber) -> String? {
    slots.withLock { $0.taken[attempt] }.map { files($0) }
  }

  /// Writes the attempt's files into a directory that nobody has, and says which that is.
  func take(_ attempt: AttemptNumber, token: String, authority: String, namespace: String) throws(IOError) -> String {
    let content = [authority, namespace]
    let (number, isKnown) = slots.withLock { $0.take(attempt, content) }
    let path = files(number)
    if !isKnown {
      try Files.makeDirectory("\(directory)/\(number)")
      try Files.makeDirectory(path, mode: 0o755)
      chmod(path, 0o755)
      try Self.write("\(path)/ca.crt", authority)
      try Self.write("\(path)/namespace", namespace)
    }
    try Self.write("\(directory)/\(number)/owner", "\(attempt)\n")
    try Self.write("\(path)/token", token)
    slots.withLock { $0.all[number]?.content = content }
    return path
  }

  /// The directory of the attempt's network files; nil: it has none here.
  func networkPath(of attempt: AttemptNumber) -> String? {
    slots.withLock { slots in
      slots.taken[attempt].flatMap { slots.all[$0]?.isNetworkTaken == true ? network($0) : nil }
    }
  }

  /// Has `write` fill the directory of the attempt's network files; `isKnown`: those of a pod of its namespace are in
  /// it. False: the attempt has no directory at all.
  func writeNetwork(
    _ attempt: AttemptNumber, namespace: String, _ write: (_ path: String, _ isKnown: Bool) throws(IOError) -> Void
  ) throws(IOError) -> Bool {
    let found = slots.withLock { slots -> (Int, Bool)? in
      guard let number = slots.taken[attempt] else { return nil }
      let isKnown = slots.all[number]?.network == namespace
      // Whatever fails then, nothing is known of them.
      slots.all[number]?.network = nil
      return (number, isKnown)
    }
    guard let (number, isKnown) = found else { return false }
    try write(network(number), isKnown)
    slots.withLock { slots in
      slots.all[number]?.network = namespace
      slots.all[number]?.isNetworkTaken = true
    }
    return true
  }

  /// No process of the attempt is left.
  func giveBack(_ attempt: AttemptNumber) {
    slots.withLock { slots in
      guard let number = slots.taken.removeValue(forKey: attempt) else { return }
      slots.all[number]?.owner = nil
      slots.all[number]?.isNetworkTaken = false
      slots.free.append(number)
    }
  }

  /// Whom to believe is another for the pods that have one. A file that is not written keeps what it says.
  func setAuthority(_ bundle: [UInt8]) {
    let text = String(decoding: bundle, as: UTF8.self)
    let taken = slots.withLock { slots in
      slots.taken.values.sorted().filter { slots.all[$0]?.content.first != text }
    }
    for number in taken {
      do throws(IOError) {
        try Files.writeAtomically("\(files(number))/ca.crt", bundle, mode: 0o644)
        slots.withLock { slots in
          if slots.all[number]?.content.isEmpty == false { slots.all[number]?.content[0] = text }
        }
      } catch {
        HostLog.line("agent: pods are not told of the other authority: \(error)")
      }
    }
  }

  private func files(_ number: Int) -> String { "\(directory)/\(number)/files" }
  private func network(_ number: Int) -> String { "\(directory)/\(number)/\(NetworkFiles.directory)" }

  /// In place: the file is there, mostly, and as long as the text.
  private static func write(_ path: String, _ text: String) throws(IOError) {
    let descriptor = try Files.openToWrite(path, O_WRONLY | O_CREAT | O_NOFOLLOW, mode: 0o644)
    defer { close(descriptor) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw IOError.last("stat", path) }
    if facts.st_mode & 0o777 != 0o644 { fchmod(descriptor, 0o644) }
    let bytes = Array(text.utf8)
    if facts.st_size > bytes.count, ftruncate(descriptor, off_t(bytes.count)) != 0 {
      throw IOError.last("truncate", path)
    }
    try Files.writeAll(descriptor, bytes, path: path)
  }
}
