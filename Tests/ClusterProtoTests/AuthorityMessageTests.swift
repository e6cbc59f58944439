// What is said of the cluster's authority, there and back, and what is no such message.

import ClusterProto
import Testing

@Suite("Messages about the authority")
struct AuthorityMessageTests {
  @Test(
    "each request is the same after its way over the wire",
    arguments: [.rotate, .status(after: nil), .status(after: 7), .drop] as [AuthorityRequest])
  func roundTrip(request: AuthorityRequest) throws {
    let message = ClientMessage.authority(id: 4, request)
    #expect(try ClientMessage(json: JSON(parsing: message.json.bytes)) == message)
  }

  @Test("what is no request is an error that names the member")
  func broken() {
    let bodies: [JSON] = [
      [:], ["do": 1], ["do": "forge"], ["do": "status", "after": "1"], .null, .string("rotate"),
    ]
    for body in bodies {
      let error = #expect(throws: MessageError.self) { try AuthorityRequest(json: body) }
      #expect(error?.description.contains("authority.request") == true, "\(body.text): \(String(describing: error))")
    }
  }

  @Test("an agent reads whom to believe; other types are others', and extreme numbers and lists do no harm")
  func notice() throws {
    let notice = AuthorityNotice(authorities: ["a", "b"], withinMilliseconds: 1_000)
    #expect(try AuthorityNotice(json: JSON(parsing: notice.json.bytes)) == notice)
    #expect(try AuthorityNotice(json: ["type": "answer"]) == nil)
    var odd = notice.json
    odd["withinMilliseconds"] = .int(.min)
    #expect(try AuthorityNotice(json: odd)?.withinMilliseconds == 0)
    for list in [[], Array(repeating: JSON.string("a"), count: 9)] {
      odd["authorities"] = .array(list)
      #expect(throws: MessageError.self) { try AuthorityNotice(json: odd) }
    }
  }

  @Test("a renewal that is hastened is due sooner, and never later")
  func hastened() {
    let start = WallTime(nanoseconds: 1_795_000_000_000_000_000)
    var plan = CertificateRenewal(start: start, end: start.adding(milliseconds: 1_000_000), random: 0)
    let usual = plan.due
    plan.hasten(to: usual.adding(milliseconds: 5))
    #expect(plan.due == usual)
    plan.hasten(to: start.adding(milliseconds: 5))
    #expect(!plan.isDue(at: start) && plan.isDue(at: start.adding(milliseconds: 5)))
    // Where that fails it is asked again as ever.
    plan.failed(at: start.adding(milliseconds: 5))
    #expect(plan.due == start.adding(milliseconds: 10_005))
  }
}
