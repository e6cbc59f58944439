// Who an agent's pods run as, and what of the host's files that user may reach: what root mounts and makes for a pod is
// looked up with the pod's own rights. Knows no volumes.

import CLinux
import ClusterIO
import Glibc

/// Who pods run as (`--pod-user`).
package struct PodUser: Equatable, Sendable {
  /// The user's number.
  package var userID: UInt32
  /// The user's main group.
  package var groupID: UInt32
  /// All its groups.
  package var groups: [UInt32]
  /// Its home directory; `/` when it has none.
  package var home: String

  /// Looks a user up by name or number; nil when there is none.
  package init?(named name: String) {
    var entry = getpwnam(name)
    if entry == nil, let number = UInt32(name) { entry = getpwuid(number) }
    guard let entry else { return nil }
    userID = entry.pointee.pw_uid
    groupID = entry.pointee.pw_gid
    home = Self.home(entry)
    var list = [gid_t](repeating: 0, count: 64)
    var count = Int32(list.count)
    let result = getgrouplist(entry.pointee.pw_name, groupID, &list, &count)
    groups = result < 0 ? [groupID] : list.prefix(Int(count)).map { UInt32($0) }
  }

  /// The user that `--pod-user` names; nil: none was named.
  static func named(_ name: String?) throws(IOError) -> PodUser? {
    guard let name else { return nil }
    if let user = PodUser(named: name) { return user }
    throw IOError(operation: "--pod-user", subject: name, message: "no such user on this machine")
  }

  /// Does `body` so that what it looks up and makes in file systems is judged, and owned, as if this user did it; on
  /// this thread alone, so `body` must not wait for another. nil: this thread may not, and nothing was done. Who is not
  /// root has no other rights to lend or to hide: then `body` is just done.
  func acting<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result? {
    guard geteuid() == 0 else { return try body() }
    var former = stint_actor()
    guard stint_act_as(userID, groupID, groups, Int32(groups.count), &former) == 0 else { return nil }
    defer {
      // Cannot fail for root; if it did, this thread would go on with less rights, not with more.
      if stint_act_as_before(&former) != 0 { HostLog.line("cannot take root's rights again: \(IOError.text(errno))") }
    }
    return try body()
  }

  /// The home directory of a user by number, as runtimes take it: `/` for one that nobody knows.
  static func home(of userID: UInt32) -> String { getpwuid(userID).map { home($0) } ?? "/" }

  private static func home(_ entry: UnsafeMutablePointer<passwd>) -> String {
    let text = entry.pointee.pw_dir.map { String(cString: $0) } ?? ""
    return text.isEmpty ? "/" : text
  }
}
