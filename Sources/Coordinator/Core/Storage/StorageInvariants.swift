// Owns: what must be true of claims and volumes after every step (I24). For the simulator and tests; it looks at all of
// them and changes nothing.

import ClusterProto

extension CoordinatorCore {
  /// Claim and volume say the same of each other, a claim for one pod has one attempt at most, and what is remembered
  /// of attempts is what there is.
  func checkStorage(_ found: inout [String]) {
    var state = state
    for key in state.keys(of: .persistentvolumeclaims) {
      guard let claim = claim(key) else { continue }
      let users = fleetAttempts(using: key)
      if claim.isExclusive, users.count > 1 {
        found.append("I24: claim \(key) is for one pod, and attempts \(users) may use it")
      }
      if users != (storage.attempts[key].map { Array($0).sorted() } ?? []) {
        found.append("I24: what uses claim \(key) is not what is remembered")
      }
      guard claim.isBound, claim.phase == "Bound", let volume = volume(claim.volumeName) else { continue }
      if volume.claim?.uid != claim.uid, storage.claims.isEmpty, storage.volumes.isEmpty {
        found.append("I24: claim \(key) is bound to volume \(volume.name), which is not bound to it")
      }
    }
  }
}
