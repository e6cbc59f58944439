// Absence is not null: a JSON value has a nil literal of its own, which has swallowed an Optional's nil before.

import ClusterProto
import Testing

@Suite("JSON: absent members")
struct JSONAbsenceTests {
  @Test("an absent member is nil, a null member is there")
  func absence() {
    let json: JSON = ["there": .null]
    #expect(json.objectValue?["gone"] == Optional<JSON>.none)
    #expect(json["gone"] == Optional<JSON>.none)
    #expect(json["there"] == Optional<JSON>.some(.null))
    var object: JSONObject = ["a": 1]
    #expect(object.removeValue(forKey: "b") == Optional<JSON>.none)
    #expect(object.removeValue(forKey: "a") == Optional<JSON>.some(1))
  }
}
