// Owns: tests of the HTTP that probes speak: heads of answers, their ends, redirects, and what a request may hold.

import ClusterProto
import Testing

@testable import NodeAgent

@Suite("the little HTTP of probes") struct HTTPCheckTextTests {
  private func head(_ text: String) -> HTTPCheckText.Head? { HTTPCheckText.Head(Array(text.utf8)) }

  @Test("a head is read once it is whole, and words on the way to it are passed over") func heads() throws {
    #expect(head("HTTP/1.1 200 OK\r\nX: y\r\n") == nil)
    #expect(head("HTTP/1.1 2000 OK\r\n\r\n") == nil)
    #expect(head("HTTP/1.1\r\n\r\n") == nil)
    let answer = try #require(head("HTTP/1.1 100 Go on\r\n\r\nHTTP/1.0 404\nlocation:  /x\n\nbody"))
    #expect(answer.status == 404)
    #expect(answer.location == "/x")
    #expect(answer.end == 50)
  }

  @Test("an answer is whole by its length, its last chunk or its kind")
  func whole() throws {
    let long = try #require(head("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"))
    #expect(!long.isWhole([1, 2]))
    #expect(long.isWhole([1, 2, 3]))
    let open = try #require(head("HTTP/1.1 200 OK\r\n\r\n"))
    #expect(!open.isWhole([1]))
    #expect(try #require(head("HTTP/1.1 204 No\r\n\r\n")).isWhole([]))
    let chunked = try #require(head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    #expect(!chunked.isWhole(Array("2\r\nok\r\n".utf8)[...]))
    #expect(chunked.isWhole(Array("2\r\nok\r\n0\r\n\r\n".utf8)[...]))
  }

  @Test(
    "a redirect leads where it says",
    arguments: [
      ("/x", "http://a:81/x"), ("b?c", "http://a:81/p/b?c"), ("?z", "http://a:81/p/q?z"), ("//b/x", "http://b:80/x"),
      ("https://a", "https://a:443/"), ("http://u:p@a:7/x#y", "http://a:7/x#y"), ("http://[::1]:8/", "http://[::1]:8/"),
    ])
  func redirects(_ location: String, _ url: String) throws {
    let get = CareAction.Get(host: "a", port: .number(81), path: "/p/q")
    #expect(HTTPCheckText.redirect(get, to: location)?.url == url)
    #expect(HTTPCheckText.redirect(get, to: "http:x") == nil)
    #expect(HTTPCheckText.redirect(get, to: "http://") == nil)
  }

  @Test("no header can be smuggled in") func fields() {
    #expect(HTTPCheckText.isField(.init(name: "X-A", value: "a\tb ü")))
    for (name, value) in [("X", "a\r\nY: b"), ("X", "\n"), ("X:", "a"), ("", "a"), ("X Y", "a")] {
      #expect(!HTTPCheckText.isField(.init(name: name, value: value)))
    }
    let get = CareAction.Get(host: "::1", port: .number(80), path: "a b\r\n#c")
    let text = String(decoding: HTTPCheckText.request(get, agent: "x"), as: UTF8.self)
    #expect(text.hasPrefix("GET /a%20b%0D%0A HTTP/1.1\r\nHost: [::1]:80\r\nUser-Agent: x/1.31\r\n"))
  }
}
