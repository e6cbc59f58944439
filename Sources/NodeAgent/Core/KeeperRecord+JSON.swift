// The JSON of a keeper's journal records: one object a line in the host's file. Touches no file.

import ClusterProto

extension KeeperRecord {
  /// The record as one line's JSON.
  package var json: JSON {
    switch self {
    case .started(let attempt): ["started": .int(attempt)]
    case .ended(let report): ["ended": report.json]
    case .acknowledged(let attempts): ["acknowledged": .integers(attempts)]
    // A keeper of a version before takes it for an empty acknowledgement, and reads on.
    case .proven(let proven): ["acknowledged": [], "proven": proven.json]
    }
  }

  /// Throws on a record that this version does not know: the journal's end may be torn, the host decides.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "record")
    if reader.optional("started") != nil {
      self = .started(try reader.integer("started"))
    } else if reader.optional("ended") != nil {
      self = .ended(try reader.member("ended", AttemptReport.init(json:_:)))
    } else if reader.optional("proven") != nil {
      self = .proven(try reader.member("proven", ProvenAttempt.init(json:_:)))
    } else {
      self = .acknowledged(try reader.list("acknowledged", MessageReader.integer))
    }
  }
}
