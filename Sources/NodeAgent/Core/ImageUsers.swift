// Who a container of an image runs as: the manifest's numbers before the image's USER, names looked up in the image's
// own /etc/passwd and /etc/group, root refused where the manifest says so. kubelet's and containerd's rules and words.
// Pure.

import ClusterProto

/// Who a container runs as.
struct ContainerUser: Equatable {
  var user: UInt32
  var group: UInt32
  var groups: [UInt32]
  /// The user's home, as the image's /etc/passwd has it.
  var home: String
}

/// Looks users up for one container.
struct ImageUsers {
  /// Why there is no such user.
  struct Failure: Error, Equatable {
    /// Kubernetes' reason for the waiting state.
    var reason: String
    var message: String
  }

  private struct Entry {
    var name: String
    var user: UInt32
    var group: UInt32
    var home: String
  }

  /// More would not fit a start.
  static let groupLimit = 64
  /// Container runtimes take no higher number.
  static let mostID: UInt32 = 2_147_483_647

  let image: ImageRecord
  let pod: SecuritySpec
  let container: SecuritySpec
  /// As kubelet names a container in messages about its user.
  let label: String

  /// The user, with all its groups.
  func find() throws(Failure) -> ContainerUser {
    let parts = image.configuration.user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let (userName, groupName) = (String(parts.first ?? ""), parts.count > 1 ? String(parts[1]) : "")
    let asked = container.runAsUser ?? pod.runAsUser
    try refuseRoot(asked: asked, named: userName)
    let entry: Entry
    if let asked {
      entry = numbered(UInt32(truncatingIfNeeded: asked))
    } else {
      entry = try named(userName)
    }
    var group = entry.group
    if asked == nil, !groupName.isEmpty { group = try groupNumber(groupName) }
    if let asked = container.runAsGroup ?? pod.runAsGroup { group = UInt32(truncatingIfNeeded: asked) }
    var groups = pod.supplementalGroups + (pod.fsGroup.map { [$0] } ?? [])
    if !pod.isStrictOnGroups { groups = memberships(of: entry.name).map(Int64.init) + groups }
    var seen: Set<UInt32> = [group]
    let others = groups.map { UInt32(truncatingIfNeeded: $0) }.filter { seen.insert($0).inserted }
    guard others.count < Self.groupLimit else {
      throw Failure(
        reason: "CreateContainerError", message: "more than \(Self.groupLimit) supplementary groups")
    }
    guard ([entry.user, group] + others).allSatisfy({ $0 <= Self.mostID }) else {
      throw Failure(reason: "CreateContainerError", message: "uids and gids must be in range 0-\(Self.mostID)")
    }
    return ContainerUser(user: entry.user, group: group, groups: [group] + others, home: entry.home)
  }

  /// kubelet's verifyRunAsNonRoot.
  private func refuseRoot(asked: Int64?, named: String) throws(Failure) {
    guard container.runAsNonRoot ?? pod.runAsNonRoot ?? false else { return }
    func failure(_ message: String) -> Failure {
      Failure(reason: PodPlanner.configError, message: "\(message) (\(label))")
    }
    if let asked {
      if asked == 0 { throw failure("container's runAsUser breaks non-root policy") }
      return
    }
    if named.isEmpty { throw failure("container has runAsNonRoot and image will run as root") }
    guard let number = UInt32(named) else {
      throw failure(
        "container has runAsNonRoot and image has non-numeric user (\(named)), cannot verify user is non-root")
    }
    if number == 0 { throw failure("container has runAsNonRoot and image will run as root") }
  }

  private func named(_ name: String) throws(Failure) -> Entry {
    if name.isEmpty { return numbered(0) }
    if let number = UInt32(name) { return numbered(number) }
    if let entry = entries.first(where: { $0.name == name }) { return entry }
    throw Failure(
      reason: "CreateContainerError", message: "unable to find user \(name): no matching entries in passwd file")
  }

  /// One that the image does not know has group 0 and no home.
  private func numbered(_ number: UInt32) -> Entry {
    entries.first { $0.user == number } ?? Entry(name: "", user: number, group: 0, home: number == 0 ? "/root" : "/")
  }

  private func groupNumber(_ name: String) throws(Failure) -> UInt32 {
    if let number = UInt32(name) { return number }
    for fields in lines(image.group) where fields.count > 2 && fields[0] == name {
      if let number = UInt32(fields[2]) { return number }
    }
    throw Failure(
      reason: "CreateContainerError", message: "unable to find group \(name): no matching entries in group file")
  }

  private func memberships(of user: String) -> [UInt32] {
    if user.isEmpty { return [] }
    return lines(image.group).compactMap { fields in
      guard fields.count > 3, fields[3].split(separator: ",").contains(Substring(user)) else { return nil }
      return UInt32(fields[2])
    }
  }

  private var entries: [Entry] {
    lines(image.passwd).compactMap { fields in
      guard fields.count > 5, let user = UInt32(fields[2]), let group = UInt32(fields[3]) else { return nil }
      return Entry(
        name: String(fields[0]), user: user, group: group, home: fields[5].isEmpty ? "/" : String(fields[5]))
    }
  }

  private func lines(_ text: String) -> [[Substring]] {
    text.split(separator: "\n").map { $0.split(separator: ":", omittingEmptySubsequences: false) }
  }
}
