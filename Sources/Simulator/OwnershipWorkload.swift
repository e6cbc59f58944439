// Simulated users of owner references: families of two owners, their dependents and a grandchild, some in a namespace
// of their own, some held by a finalizer; the owners are deleted by every policy, in the end their namespace. What must
// be true of each. Each word is repeated until it is answered, as a client does.

import ClusterProto
import CoordinatorCore

final class OwnershipWorkload {
  private struct Family {
    var name: String
    var namespace: String
    /// By what policy each owner is deleted; nil: none is named. The first one's is never Orphan.
    var policies: [String?]
    var dependents: [Dependent]
    /// Uids of the owners that are there.
    var owners: [String] = []
    var isWhole = false
    /// Owners whose deletion was answered.
    var deleted = 0
    var deletedAt: TrueTime = 0
    /// The namespace's deletion was answered.
    var isRazed = false
    var ownsNamespace: Bool { namespace != "default" }
    /// The last owner left its dependents.
    var isOrphaned: Bool { policies[1] == "Orphan" }
  }

  private struct Dependent {
    var isHeld: Bool
    var blocks: Bool
    var uid = ""
  }

  /// By then the collector must have followed a deletion, once nothing fails any more.
  private static let bound: TrueTime = 30_000_000
  private static let hold = "example.com/hold"
  /// What hangs on the first dependent.
  private static let grandchild = "grandchild"

  private let cluster: SimCluster
  private let world: World
  private var families: [Family] = []
  private let count: Int
  /// What was answered may be gone.
  private var isForgotten = false

  init(cluster: SimCluster) {
    self.cluster = cluster
    world = cluster.world
    count = Int(world.pick(0...4))
  }

  func begin() {
    for index in 0..<count {
      let name = "family-\(index)"
      families.append(
        Family(
          name: name, namespace: world.chance(0.4) ? name : "default",
          policies: [
            world.choose([nil, "Background", "Foreground"]) ?? nil,
            world.choose([nil, "Background", "Foreground", "Orphan"]) ?? nil,
          ],
          dependents: (0..<world.pick(1...3)).map { _ in
            Dependent(isHeld: world.chance(0.3), blocks: world.chance(0.5))
          }))
      world.after(world.pickRare(1_000_000...1_800_000_000)) { [self] in found(index) }
    }
  }

  /// The coordinator's store is older than what it has answered.
  func storeWasRestored() { isForgotten = true }

  private func violated(_ text: String) { if !isForgotten { world.violated(text) } }

  /// Asks until an answer comes. The first one counts: behind a hung disk an earlier question may be answered late.
  private func insist(_ request: APIRequest, _ done: @escaping (Int, JSON) -> Void) {
    var isAnswered = false
    func ask() {
      guard !isAnswered else { return }
      cluster.request(request) { code, object in
        guard !isAnswered else { return }
        isAnswered = true
        done(code, object)
      }
      world.after(15_000_000 * world.pace.beat, ask)
    }
    ask()
  }

  // MARK: Coming

  private func found(_ index: Int) {
    let family = families[index]
    guard family.ownsNamespace else { return makeOwner(index) }
    let body: JSON = ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(family.namespace)]]
    insist(APIRequest(verb: .create, kind: .namespaces, body: body)) { [self] _, _ in makeOwner(index) }
  }

  private func makeOwner(_ index: Int) {
    make(index, "owner-\(families[index].owners.count)", owners: []) { [self] uid in
      families[index].owners.append(uid)
      if families[index].owners.count < 2 { makeOwner(index) } else { makeDependent(index, 0) }
    }
  }

  private func makeDependent(_ index: Int, _ number: Int) {
    let family = families[index]
    guard number < family.dependents.count else {
      let owners = [reference(family, "dependent-0", uid: family.dependents[0].uid, blocks: true)]
      return make(index, Self.grandchild, owners: owners) { [self] _ in
        families[index].isWhole = true
        world.after(world.pick(0...60_000_000)) { [self] in deleteOwner(index) }
      }
    }
    let dependent = family.dependents[number]
    let owners = family.owners.enumerated().map { position, uid in
      reference(family, "owner-\(position)", uid: uid, blocks: dependent.blocks)
    }
    make(index, "dependent-\(number)", owners: owners, finalizers: dependent.isHeld ? [Self.hold] : []) { [self] uid in
      families[index].dependents[number].uid = uid
      makeDependent(index, number + 1)
    }
  }

  /// Makes a ConfigMap of the family. The uid comes from a get: the create may have been answered by a coordinator that
  /// has died since.
  private func make(
    _ index: Int, _ part: String, owners: [JSON], finalizers: [String] = [], _ done: @escaping (String) -> Void
  ) {
    let family = families[index]
    let name = "\(family.name)-\(part)"
    var metadata: JSON = ["name": .string(name)]
    if !owners.isEmpty { metadata["ownerReferences"] = .array(owners) }
    if !finalizers.isEmpty { metadata["finalizers"] = .array(finalizers.map { .string($0) }) }
    let body: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata]
    insist(APIRequest(verb: .create, kind: .configmaps, namespace: family.namespace, body: body)) {
      [self] code, object in
      guard code == 201 || code == 409 else { return violated("creating \(name) is answered \(code): \(object.text)") }
      insist(get(family, part)) { [self] code, object in
        guard code == 200, let uid = object[path: ["metadata", "uid"]]?.stringValue else {
          return violated("H1: ConfigMap \(name) was acknowledged and answers \(code)")
        }
        done(uid)
      }
    }
  }

  private func get(_ family: Family, _ part: String) -> APIRequest {
    APIRequest(verb: .get, kind: .configmaps, namespace: family.namespace, name: "\(family.name)-\(part)")
  }

  private func reference(_ family: Family, _ part: String, uid: String, blocks: Bool) -> JSON {
    [
      "apiVersion": "v1", "kind": "ConfigMap", "name": .string("\(family.name)-\(part)"), "uid": .string(uid),
      "blockOwnerDeletion": .bool(blocks),
    ]
  }

  // MARK: Going

  private func deleteOwner(_ index: Int) {
    let family = families[index]
    let name = "\(family.name)-owner-\(family.deleted)"
    var options = APIOptions()
    options.propagationPolicy = family.policies[family.deleted]
    let request = APIRequest(
      verb: .delete, kind: .configmaps, namespace: family.namespace, name: name, options: options)
    insist(request) { [self] _, _ in
      families[index].deleted += 1
      families[index].deletedAt = world.now
      world.record("owner \(name) deleted")
      world.after(world.pick(1_000_000...60_000_000)) { [self] in look(index) }
      if families[index].deleted < 2 {
        world.after(world.pickRare(60_000_000...900_000_000)) { [self] in deleteOwner(index) }
      } else {
        world.after(world.pickRare(1_000_000...300_000_000)) { [self] in letGo(index, 0) }
      }
    }
  }

  /// While the second owner lives everything does.
  private func look(_ index: Int) {
    let family = families[index]
    for part in family.dependents.indices.map({ "dependent-\($0)" }) + [Self.grandchild] {
      cluster.request(get(family, part)) { [self] code, object in
        guard families[index].deleted < 2 else { return }
        if code == 404 || object[path: ["metadata", "deletionTimestamp"]] != nil {
          violated("I11: \(family.name)-\(part) was collected while its second owner lives")
        }
      }
    }
  }

  /// Takes the users' finalizers away, one after the other; then the namespace may go.
  private func letGo(_ index: Int, _ number: Int) {
    let family = families[index]
    guard number < family.dependents.count else {
      guard family.ownsNamespace, world.chance(0.7) else { return }
      return insist(APIRequest(verb: .delete, kind: .namespaces, name: family.namespace)) { [self] _, _ in
        families[index].isRazed = true
        families[index].deletedAt = world.now
        world.record("namespace \(family.namespace) deleted")
      }
    }
    guard family.dependents[number].isHeld else { return letGo(index, number + 1) }
    var options = APIOptions()
    options.patchKind = .merge
    let request = APIRequest(
      verb: .patch, kind: .configmaps, namespace: family.namespace, name: "\(family.name)-dependent-\(number)",
      options: options, body: ["metadata": ["finalizers": .null]])
    insist(get(family, "dependent-\(number)")) { [self] code, _ in
      if code == 404 { violated("\(family.name)-dependent-\(number) has gone in spite of its finalizer") }
      insist(request) { [self] _, _ in
        families[index].dependents[number].isHeld = false
        families[index].deletedAt = world.now
        letGo(index, number + 1)
      }
    }
  }

  /// At the end: nothing has outlived its owners or its namespace, and what was orphaned is there.
  func judge() {
    for family in families where family.isWhole && family.deleted == 2 {
      guard world.now - family.deletedAt > Self.bound, !family.dependents.contains(where: \.isHeld) else { continue }
      let stays = family.isOrphaned && !family.isRazed
      for part in family.dependents.indices.map({ "dependent-\($0)" }) + [Self.grandchild] {
        cluster.request(get(family, part)) { [self] code, object in
          if code == 200, !stays { violated("I11: \(family.name)-\(part) has outlived both owners") }
          if code == 404, stays { violated("I11: \(family.name)-\(part) was orphaned and is gone") }
          if stays, part != Self.grandchild, object[path: ["metadata", "ownerReferences"]] != nil {
            violated("I11: \(family.name)-\(part) was orphaned and has owners")
          }
        }
      }
      for part in ["owner-0", "owner-1"] {
        cluster.request(get(family, part)) { [self] code, _ in
          if code == 200 { violated("I11: \(family.name)-\(part) was deleted and is there") }
        }
      }
      guard family.isRazed else { continue }
      cluster.request(APIRequest(verb: .get, kind: .namespaces, name: family.namespace)) { [self] code, _ in
        if code == 200 { violated("I11: the namespace \(family.namespace) was deleted and is there") }
      }
    }
  }
}
