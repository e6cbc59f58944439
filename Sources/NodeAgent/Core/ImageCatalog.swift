// Which images are whole on the node, and by which names they are found. Data alone: who fetches and removes them is
// told by ImagePulls and ImageGarbage.

import ClusterProto

extension ImageRecord {
  /// `status.containerStatuses[].imageID` of a container that was asked for by that reference: the name with the digest
  /// that its registry knows, else any; of an image that came from a file its own id.
  package func statusID(of reference: ImageReference) -> String {
    digests.first { $0.hasPrefix(reference.name + "@") } ?? digests.first ?? id
  }

  /// `status.containerStatuses[].image`: the complete name that was asked for, as a container runtime shows it.
  package func statusName(of reference: ImageReference) -> String {
    let asked = reference.text
    return tags.contains(asked) || digests.contains(asked) ? asked : tags.first ?? digests.first ?? asked
  }
}

/// The images of a node.
struct ImageCatalog: Equatable {
  /// By id.
  private(set) var records: [String: ImageRecord] = [:]
  /// Ids by complete reference.
  private var names: [String: String] = [:]
  /// Asked to go and perhaps not gone: whatever a list says of them, nobody may begin to use them.
  private var leaving: Set<String> = []

  /// All that may be used, by id.
  var all: [ImageRecord] { records.keys.sorted().compactMap { records[$0] } }

  /// What the host has, in place of what was known.
  mutating func replace(by list: [ImageRecord]) {
    let present = Set(list.map(\.id))
    leaving.formIntersection(present)
    records = [:]
    names = [:]
    for record in list where !leaving.contains(record.id) { insert(record) }
  }

  /// One more, or the same with more names: names that it has are no longer another's.
  mutating func insert(_ record: ImageRecord) {
    leaving.remove(record.id)
    if let before = records[record.id] { forgetNames(of: before) }
    for name in record.tags + record.digests {
      if let other = names[name], other != record.id {
        records[other]?.tags.removeAll { $0 == name }
        records[other]?.digests.removeAll { $0 == name }
      }
      names[name] = record.id
    }
    records[record.id] = record
  }

  /// It is asked to go.
  mutating func leave(_ id: String) {
    guard let record = records.removeValue(forKey: id) else { return }
    forgetNames(of: record)
    leaving.insert(id)
  }

  /// The image that a reference leads to.
  func find(_ reference: ImageReference) -> ImageRecord? { names[reference.text].flatMap { records[$0] } }

  /// The image that a container's status names.
  func id(ofStatus imageID: String) -> String? {
    if imageID.isEmpty { return nil }
    return records[imageID] == nil ? names[imageID] : imageID
  }

  private mutating func forgetNames(of record: ImageRecord) {
    for name in record.tags + record.digests where names[name] == record.id { names[name] = nil }
  }
}
