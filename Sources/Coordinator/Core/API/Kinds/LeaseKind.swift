// Leases: what the API does for them alone. The leases of pods are no such objects.

import ClusterProto

extension KindDescriptor {
  static let leases = KindDescriptor(
    served: ServedRules(tier: .sensitive),
    table: .simple([.name, TableColumn("Holder", "Holder of the lease."), .age]) { lease, name, age in
      [name, lease.body["spec"]?["holderIdentity"] ?? "", age]
    },
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": [:]], validateNew: leaseDuration,
      validateUpdate: { json, _, errors in leaseDuration(json, into: &errors) }))

  private static func leaseDuration(_ json: JSON, into errors: inout FieldErrors) {
    guard let seconds = json[path: ["spec", "leaseDurationSeconds"]]?.intValue, seconds <= 0 else { return }
    errors.invalid("spec.leaseDurationSeconds", .int(seconds), "must be greater than 0")
  }
}
