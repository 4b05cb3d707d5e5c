(function () {
  "use strict";
  var nav = document.querySelector("nav.contents");
  var blocks = Array.prototype.slice.call(document.querySelectorAll("details.code"));
  var button = document.getElementById("code-switch");
  if (button && !blocks.length) { button.hidden = true; }
  if (button) {
    var label = function () {
      var all = blocks.every(function (block) { return block.open; });
      button.setAttribute("aria-pressed", String(all));
      button.textContent = all ? "Hide all code" : "Show all code";
    };
    button.addEventListener("click", function () {
      var open = button.getAttribute("aria-pressed") !== "true";
      blocks.forEach(function (block) { block.open = open; });
      label();
    });
    blocks.forEach(function (block) { block.addEventListener("toggle", label); });
    label();
  }
  var notebooks = Array.prototype.slice.call(document.querySelectorAll("details.notebook"));
  var reveal = function () {
    var target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    var folded = target && target.closest("details.notebook");
    if (folded && !folded.open) { folded.open = true; target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", reveal);
  reveal();
  window.addEventListener("beforeprint", function () { notebooks.forEach(function (notebook) { notebook.open = true; }); });
  if (!nav) { return; }
  var box = nav.querySelector("details");
  var wide = window.matchMedia("(min-width: 1080px)");
  var fold = function () { box.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
  box.addEventListener("click", function (event) {
    if (event.target.closest("a") && !wide.matches) { box.open = false; }
  });
  var links = Array.prototype.slice.call(nav.querySelectorAll("li a[href^='#']"));
  var places = links.map(function (link) { return document.getElementById(link.getAttribute("href").slice(1)); });
  nav.classList.add("follows");
  var current = null;
  var follow = function () {
    var at = 0;
    places.forEach(function (place, index) { if (place && place.getBoundingClientRect().top < 140) { at = index; } });
    if (window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 4) { at = links.length - 1; }
    if (links[at] === current) { return; }
    links.forEach(function (link) { link.removeAttribute("aria-current"); });
    Array.prototype.forEach.call(nav.querySelectorAll("li.open"), function (item) { item.classList.remove("open"); });
    current = links[at];
    if (!current) { return; }
    current.setAttribute("aria-current", "true");
    for (var item = current.closest("li"); item; item = item.parentElement.closest("li")) { item.classList.add("open"); }
    if (wide.matches) {
      var top = current.offsetTop - nav.clientHeight / 2;
      if (current.offsetTop < nav.scrollTop + 40 || current.offsetTop > nav.scrollTop + nav.clientHeight - 60) { nav.scrollTop = top; }
    }
  };
  var waiting = false;
  window.addEventListener("scroll", function () {
    if (waiting) { return; }
    waiting = true;
    window.requestAnimationFrame(function () { waiting = false; follow(); });
  }, { passive: true });
  follow();
})();
