// Simulated users of owner references: an object with two owners lives while one of them does, and goes with the last.
// Each word is repeated until it is answered, as a client does.

import ClusterProto
import CoordinatorCore

final class OwnershipWorkload {
  /// A dependent with two owners.
  private struct Family {
    var name: String
    var owners: [String] = []
    var hasDependent = false
    /// Owners whose deletion was answered.
    var deleted = 0
    var deletedAt: TrueTime = 0
  }

  /// By then the collector must have followed a deletion, once nothing fails any more.
  private static let bound: TrueTime = 30_000_000

  private let cluster: SimCluster
  private let world: World
  private var families: [Family] = []
  private let count: Int
  /// What was answered may be gone.
  private var isForgotten = false

  init(cluster: SimCluster) {
    self.cluster = cluster
    world = cluster.world
    count = Int(world.pick(0...3))
  }

  func begin() {
    for index in 0..<count {
      families.append(Family(name: "family-\(index)"))
      world.after(world.pick(1_000_000...1_800_000_000)) { [self] in makeOwner(index) }
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
      world.after(15_000_000, ask)
    }
    ask()
  }

  private func makeOwner(_ index: Int) {
    let name = "\(families[index].name)-owner-\(families[index].owners.count)"
    insist(create(name, owners: [])) { [self] _, _ in
      // The uid comes from a get: the create may have been answered by a coordinator that has died since.
      insist(APIRequest(verb: .get, kind: .configmaps, namespace: "default", name: name)) { [self] code, object in
        guard code == 200, let uid = object[path: ["metadata", "uid"]]?.stringValue else {
          return violated("H1: ConfigMap \(name) was acknowledged and answers \(code)")
        }
        families[index].owners.append(uid)
        if families[index].owners.count < 2 { makeOwner(index) } else { makeDependent(index) }
      }
    }
  }

  private func makeDependent(_ index: Int) {
    let family = families[index]
    insist(create("\(family.name)-dependent", owners: family.owners)) { [self] code, object in
      guard code == 201 || code == 409 else {
        return violated("creating a ConfigMap is answered \(code): \(object.text)")
      }
      families[index].hasDependent = true
      world.after(world.pick(0...60_000_000)) { [self] in deleteOwner(index) }
    }
  }

  private func deleteOwner(_ index: Int) {
    let name = "\(families[index].name)-owner-\(families[index].deleted)"
    insist(APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: name)) { [self] _, _ in
      families[index].deleted += 1
      families[index].deletedAt = world.now
      world.record("owner \(name) deleted")
      world.after(world.pick(1_000_000...60_000_000)) { [self] in look(index) }
      if families[index].deleted < 2 {
        world.after(world.pick(60_000_000...900_000_000)) { [self] in deleteOwner(index) }
      }
    }
  }

  private func create(_ name: String, owners: [String]) -> APIRequest {
    var metadata: JSON = ["name": .string(name)]
    let prefix = name.split(separator: "-").prefix(2).joined(separator: "-")
    let references = owners.enumerated().map { position, uid -> JSON in
      [
        "apiVersion": "v1", "kind": "ConfigMap", "name": .string("\(prefix)-owner-\(position)"), "uid": .string(uid),
      ]
    }
    if !owners.isEmpty { metadata["ownerReferences"] = .array(references) }
    return APIRequest(
      verb: .create, kind: .configmaps, namespace: "default",
      body: ["apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata])
  }

  private func look(_ index: Int) {
    let name = "\(families[index].name)-dependent"
    cluster.request(APIRequest(verb: .get, kind: .configmaps, namespace: "default", name: name)) {
      [self] code, _ in
      if code == 404, families[index].deleted < 2 {
        violated("I11: \(name) was collected while its second owner lives")
      }
    }
  }

  /// At the end: nothing has outlived its owners.
  func judge() {
    for family in families where family.hasDependent && family.deleted == 2 {
      guard world.now - family.deletedAt > Self.bound else { continue }
      let name = "\(family.name)-dependent"
      cluster.request(APIRequest(verb: .get, kind: .configmaps, namespace: "default", name: name)) { [self] code, _ in
        if code == 200 { violated("I11: \(name) has outlived both owners") }
      }
    }
  }
}
