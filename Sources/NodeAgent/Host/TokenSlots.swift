// Owns: the directories of the tokens that nearly every pod has, DATA/tokens/NUMBER, used by one pod after another: to
// make directory and files anew for each would cost more than its start. It must not know what tokens say.

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
  }

  private let directory: String
  private let slots: Mutex<[Int: Slot]>
  private static let volume = VolumeSpec(json: PodToken.usualVolumeSpec)

  /// Slots that a former agent has given to attempts are theirs until `giveBack`.
  init(directory: String) throws(IOError) {
    self.directory = directory
    try Files.makeDirectory(directory)
    var found: [Int: Slot] = [:]
    for name in try Files.list(directory) {
      guard let number = Int(name) else { continue }
      let owner = (try? Files.readLine("\(directory)/\(name)/owner")).flatMap { AttemptNumber($0) }
      found[number] = Slot(owner: owner)
    }
    slots = Mutex(found)
  }

  /// Attempts that have one.
  var owners: [AttemptNumber] { slots.withLock { slots in slots.values.compactMap(\.owner).sorted() } }

  /// Whether the volume is the usual one, and nobody's own of that name.
  static func serves(_ volume: VolumeSpec) -> Bool { volume == Self.volume }

  /// The directory of an attempt; nil: it has none.
  func path(of attempt: AttemptNumber) -> String? {
    slots.withLock { slots in slots.first { $0.value.owner == attempt }.map { files($0.key) } }
  }

  /// Writes the attempt's files into a directory that nobody has, and says which that is.
  func take(_ attempt: AttemptNumber, token: String, authority: String, namespace: String) throws(IOError) -> String {
    let content = [authority, namespace]
    let (number, isKnown) = slots.withLock { slots -> (Int, Bool) in
      let own = slots.first { $0.value.owner == attempt }
      let free =
        own ?? slots.first { $0.value.owner == nil && $0.value.content == content }
        ?? slots.first { $0.value.owner == nil }
      let number = free?.key ?? (slots.keys.max() ?? 0) + 1
      let isKnown = free?.value.content == content
      // Whatever fails below, nothing is known of its files then.
      slots[number] = Slot(owner: attempt)
      return (number, isKnown)
    }
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
    slots.withLock { $0[number]?.content = content }
    return path
  }

  /// No process of the attempt is left.
  func giveBack(_ attempt: AttemptNumber) {
    slots.withLock { slots in
      // In any order: an attempt has one at most.
      for (number, slot) in slots where slot.owner == attempt { slots[number]?.owner = nil }
    }
  }

  /// Whom to believe is another for the pods that have one. A file that is not written keeps what it says.
  func setAuthority(_ bundle: [UInt8]) {
    let text = String(decoding: bundle, as: UTF8.self)
    let taken = slots.withLock { slots in
      slots.keys.sorted().filter { slots[$0]?.owner != nil && slots[$0]?.content.first != text }
    }
    for number in taken {
      do throws(IOError) {
        try Files.writeAtomically("\(files(number))/ca.crt", bundle, mode: 0o644)
        slots.withLock { slots in
          if slots[number]?.content.isEmpty == false { slots[number]?.content[0] = text }
        }
      } catch {
        HostLog.line("agent: pods are not told of the other authority: \(error)")
      }
    }
  }

  private func files(_ number: Int) -> String { "\(directory)/\(number)/files" }

  /// In place: the file is there, mostly, and as long as the text.
  private static func write(_ path: String, _ text: String) throws(IOError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else { throw IOError.last("open", path) }
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
