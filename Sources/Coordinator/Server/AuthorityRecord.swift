// Owns: the store's word on which authorities the cluster has, so that a lost or exchanged `authority.pem` is known
// before anything is made or signed by it. It must not know how authorities are made, nor when one is exchanged.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// Whom the files of `pki` must hold. The files alone say which authorities there are; the record follows them, so
/// that one of those that it names is always among them, wherever a crash has cut an exchange.
package struct AuthorityRecord: Equatable, Sendable {
  private static let fact = "authorities"
  private static let lost =
    "then a new authority is made where none is, and every kubeconfig, user's certificate and agent's identity must be "
    + "made anew (stint kubeconfig, stint user create, stint token create --node NAME)"

  /// Digests of the authorities' keys; empty: the store is older than records, whatever is there counts.
  private let digests: [KeyDigest]

  /// Of the authorities in use.
  package init(_ authorities: Authorities) { digests = AuthorityRecord.digests(authorities) }

  /// As the store has it, whose row it takes out; nil: the store is new.
  init?(takenFrom rows: inout [StoreRow], isNew: Bool) {
    let position = rows.firstIndex { $0.table == .facts && $0.key == AuthorityRecord.fact }
    let row = position.map { rows.remove(at: $0) }
    guard !isNew else { return nil }
    let json = row.flatMap { try? JSON(parsing: $0.value) }
    digests = (json?.arrayValue ?? []).compactMap(\.stringValue)
  }

  /// The row that says so.
  var row: StoreWrite {
    StoreWrite(table: .facts, key: Self.fact, value: JSON.array(digests.map { .string($0) }).bytes)
  }

  /// Refuses a directory `pki` that holds none of them. One that is damaged is for whoever reads it.
  package func check(_ pki: String) throws(IOError) {
    let path = "\(pki)/authority.pem"
    guard Files.exists(path) else {
      throw IOError(
        operation: "read", subject: path,
        message: "the cluster's authority is missing: put the file back from a backup (stint restore FILE into another "
          + "directory, and copy it from there). Without one start the coordinator once with --new-authority; "
          + Self.lost)
    }
    guard !digests.isEmpty, let found = try? Authorities(below: pki) else { return }
    guard !AuthorityRecord.digests(found).contains(where: digests.contains) else { return }
    throw IOError(
      operation: "read", subject: path,
      message: "this is not the authority of this cluster (it is \(short(AuthorityRecord.digests(found))), the store "
        + "knows \(short(digests))): whoever its administrator is would be administrator here. Put the cluster's own "
        + "file back from a backup (stint restore FILE into another directory, and copy it from there). Without one "
        + "delete it and start the coordinator once with --new-authority; " + Self.lost)
  }

  private func short(_ digests: [KeyDigest]) -> String { digests.map { String($0.prefix(16)) }.joined(separator: ", ") }

  private static func digests(_ authorities: Authorities) -> [KeyDigest] {
    Certificates.keyDigests(ofBundle: authorities.bundle)
  }
}
