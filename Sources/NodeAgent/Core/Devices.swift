// Which ones of a node's extended resources each attempt has: handed out with its plan, told its containers by a
// variable, learnt again from the keeper. Pure; how many a pod may have is the scheduler's.

import ClusterProto

/// What a node offers of one extended resource.
package struct DeviceOffer: Equatable, Sendable {
  /// The resource's name.
  package var name: String
  /// How many there are; their ids are 0 and up.
  package var count: Int64
  /// The variable that tells a container which ones it has; nil: none does.
  package var variable: String?

  /// Takes each value as it stands.
  package init(name: String, count: Int64, variable: String? = nil) {
    self.name = name
    self.count = count
    self.variable = variable
  }
}

/// The ids of all of them, and who has which.
struct DeviceLedger {
  let offers: [DeviceOffer]
  /// By attempt and resource. An attempt that is gone holds nothing, whatever stands here.
  private var held: [AttemptNumber: [String: [Int64]]] = [:]

  init(_ offers: [DeviceOffer]) { self.offers = offers }

  /// The keeper's word about what runs.
  mutating func note(_ attempt: AttemptNumber, _ devices: [String: [Int64]]) { held[attempt] = devices }

  /// Gives an attempt's plan what its spec asks for, the lowest ids that none of the `others` holds; nil and the
  /// resource of which there are too few.
  mutating func hand(
    _ plan: PodPlan, to attempt: AttemptNumber, _ spec: PodSpec, others: Set<AttemptNumber>
  ) -> (plan: PodPlan?, lacking: String) {
    guard !offers.isEmpty, !spec.scheduling.resources.isEmpty else { return (plan, "") }
    held = held.filter { others.contains($0.key) && $0.key != attempt }
    var plan = plan
    var taken: [String: [Int64]] = [:]
    for offer in offers {
      guard let wanted = spec.scheduling.resources.first(where: { $0.name == offer.name })?.amount else { continue }
      var used: Set<Int64> = []
      for attempt in held.keys.sorted() { used.formUnion(held[attempt]?[offer.name] ?? []) }
      let ids = Array((0..<offer.count).lazy.filter { !used.contains($0) }.prefix(Int(clamping: wanted)))
      guard Int64(ids.count) == wanted else { return (nil, offer.name) }
      taken[offer.name] = ids
      Self.tell(ids, offer, spec, &plan)
    }
    if !taken.isEmpty { held[attempt] = taken }
    plan.devices = taken
    return (plan, "")
  }

  /// Sidecars and containers have their own; what an init container has the later ones get after it.
  private static func tell(_ ids: [Int64], _ offer: DeviceOffer, _ spec: PodSpec, _ plan: inout PodPlan) {
    func count(_ container: ContainerSpec) -> Int {
      Int(clamping: container.extendedResources.first { $0.name == offer.name }?.amount ?? 0)
    }
    var rest = ids[...]
    for (position, container) in spec.initContainers.enumerated() {
      set(rest.prefix(count(container)), offer, &plan.initContainers[position])
      if container.isSidecar { rest = rest.dropFirst(count(container)) }
    }
    for (position, container) in spec.containers.enumerated() {
      set(rest.prefix(count(container)), offer, &plan.containers[position])
      rest = rest.dropFirst(count(container))
    }
  }

  /// A container that asks for none is told so: programs take an absent variable for all. The manifest's own wins.
  private static func set(_ ids: ArraySlice<Int64>, _ offer: DeviceOffer, _ container: inout PodPlan.Container) {
    guard let variable = offer.variable, !container.environment.contains(where: { $0.hasPrefix("\(variable)=") })
    else { return }
    container.environment.append("\(variable)=\(ids.map(String.init).joined(separator: ","))")
  }
}

extension AgentCore {
  /// Those that hold what they were given.
  private var holders: Set<AttemptNumber> {
    Set(attempts.filter { $0.value.report?.isTerminal != true }.keys)
  }

  /// The plan with its devices, or what it waits for.
  mutating func handDevices(
    _ plan: PodPlan, to assignment: Assignment
  ) throws(PreparationFailure) -> PodPlan {
    let (plan, lacking) = devices.hand(plan, to: assignment.attempt, assignment.spec, others: holders)
    if let plan { return plan }
    let wanted = assignment.spec.scheduling.resources.first { $0.name == lacking }?.amount ?? 0
    throw PreparationFailure(
      container: "", reason: "UnexpectedAdmissionError",
      message: "Allocate failed due to requested number of devices unavailable for \(lacking). Requested: \(wanted), "
        + "which is unexpected", isRetryable: true)
  }
}
