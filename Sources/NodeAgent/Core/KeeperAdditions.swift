// Containers that are added to a pod that runs, in the keeper: behind its own ones, each started once and never again,
// with the pod's own fate but no say in it. Which, and what they run, is the agent's word. Knows no images.

import ClusterProto

extension KeeperPod {
  /// Containers of a pod that its init can hold at once (STINT_SLOTS).
  private static let most = 128

  /// Those that were added, behind all others.
  var addedIndices: Range<Int> { ownCount..<slots.count }

  /// Takes a container over, at most once a name.
  mutating func add(_ container: PodPlan.Container, _ turn: inout KeeperTurn) {
    guard stage != .gone, let position = placeAddition(container.name, container.image) else { return }
    guard slots[position].container == nil else {
      isUnannounced = true
      return
    }
    slots[position].container = container
    slots[position].waiting = nil
    advance(&turn)
  }

  /// Shows why the agent could not hand it over yet.
  mutating func awaitAddition(_ name: String, image: String, reason: String, message: String) {
    guard stage != .gone, let position = placeAddition(name, image), slots[position].container == nil else { return }
    slots[position].waiting = (reason, message)
  }

  /// Its slot, made where there is none yet; nil: the pod can have no such container.
  private mutating func placeAddition(_ name: String, _ image: String) -> Int? {
    if let known = slots.firstIndex(where: { $0.name == name }) { return known < ownCount ? nil : known }
    guard slots.count < Self.most else { return nil }
    slots.append(ContainerSlot(name: name, image: image, isInit: false, isSidecar: false, ownPolicy: .never))
    return slots.count - 1
  }

  /// Starts those that have not begun, whatever the pod's own containers do; one with a target when that runs.
  mutating func advanceAdditions(_ turn: inout KeeperTurn) {
    for position in addedIndices where slots[position].run == .idle {
      guard let container = slots[position].container else { continue }
      if let target = container.target, !isRunning(target) {
        slots[position].waiting = ("CreateContainerError", "target container \(JSON.string(target).text) does not run")
        continue
      }
      slots[position].waiting = nil
      start(position, &turn)
    }
  }

  private func isRunning(_ name: String) -> Bool {
    guard let slot = slots.prefix(ownCount).first(where: { $0.name == name }) else { return false }
    if case .running = slot.run { return true }
    return false
  }
}

extension ContainerStatus {
  /// As kubelet shows a container that was added: nothing probes it, so it never counts as ready.
  var ofAddition: ContainerStatus {
    var shown = self
    shown.ready = false
    shown.started = nil
    return shown
  }
}
