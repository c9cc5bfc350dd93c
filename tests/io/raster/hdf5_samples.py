"""Small HDF5 files as h5py 3.16 writes them (``libver`` earliest and latest), compressed.

``red`` is ``numpy.arange(96).reshape(12, 8)`` as int16. ``other`` leads to ``other.h5``, or to bytes of ``other.bin``.
"""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

_FILES = {
    "plain_earliest": (
        "eNrtmEtTE0EQx3+7SSCEV3hHXoaHgCCCoIIIGCCBgMpbQAXEKlG5hKrogSNH+AYcOXr06DFHvxXMZmcodqsgVFEFhMz/0tUzvdM9s//p"
        "6p7DeHSyOFAbwILfj5cg53Eikapx6mp+S0pDygMp/5hq3EjPheR4mVzfbbe8GItZ1icuKD+9XluG0MhFxGNj85Zck3qHlP9Np11y+1ta"
        "/pD6r93vvy3ZIycUT3uv6NfAZ39jKN32bJj2QJG080vp1j2C75ZlUAzYodr89wkLa9w07YX8ktkeQ32ackWyfyf+w9LsXNRI78rGns95"
        "/4+lrgzUOYQ9l68bcuUb9VvD95TPF+VF9/llyovBCuc5a+QWLuLRnuTPUXnmFUxxn70iI+WRL3hUQIBCkceKKaFUrFZGORVUUkU1NcLP"
        "A2qpo54GGnko7mcTzbTQyiPaaBfZ8TGddPGEbp7SI/LsM/ro5zkveMkAg7xiiNcMM8Iob4gwxjgTRIkxyRRxppnhLe94zyxzzLPAIkss"
        "84EVVkX+/8gnPrPOBpt8yfLot7I8+q/6AmpoaGjck75K1fVh5zMAO4nEdvJcnR+/pt9Mde3PKmc8GrnNS1Xf/nPVs4mdpKPvV/yMXKu/"
        "PWvCSeU7+9ur19W53pfc9LtJKgveTcyz/a1VXm6v8t7fas2l2+XVfsFd5tUp2vKrmA=="
    ),
    "plain_latest": (
        "eNrtlr1PU1EYxn/n3LaUS4FasGBB5UNFUdvKh3woUkstLVarIOD3R0JturRJYWDswmDSjX+AgYGdgQ26ODfsLib8FSx6Wu9NCANpTJeb"
        "9FlOnnPe99znvPe577k/YpFoq+7TNacTE38MhPR/PGjMHxSD3mQssijZlJ6zgSZ0iQBHG2rQ8qm1fSPR4arMiPSRMHglwils67nvGzYC"
        "KpIb1IT47ulAVYLaTqgcKYVwGWvmAc5zzYVwKyKrzI1dqdR0pzqBJsygkvmAPSyDaNC1U8vrcFeKb89ks6l8WBq5kfpIKKQPE7U7IpvJ"
        "/5RnHFD1yLFm7DX2fxJyxa3VejqiZGFH+E+2f9WzFoVm69aiPFT+TQMNNHAxhPr0NWzYcdCk2kIzOi2qTbTSRrtqCJfw0EEnl/HSRTdX"
        "8NFDL1e5xnX66GeAQXV/3+QWQ9zmDsPc5R738RNQ/w4PGGFUdfdxHjLBJFNM84jHzPCEWUI8JcycupCeEWWeGHEWeE6CF7wkyStes8gS"
        "b1hmhVXe8o73fOAjn/jMF4ur/2px9d/4C9CEnM8="
    ),
    "external_link_earliest": (
        "eNrtlEdTAkEUhL9dgiuKYlbMOWPEnFBATICAOR60ypsW5cGjR/0n/gyO/iucZWcRKL3oxSrpS9f0vH3zaranX0P+oNPhdqBD07DiIhdp"
        "iZSWvzb3ryUrkl8kv6mmbsvsNUrdJfs/2Yz1g9QTsUBAr04XwDxn3GqwRhH/EaGAL6rzcdZHBt7V/Lrk7U2eH0O/PNf0r9lQYcBg1RDK"
        "yfdl4doiJtUrXUJQcya3iQpdV1WjkSZfiEUxP00VTPL8J/5DPBzxK2SHpMNS9OZPoGYT8evEc0h/mLBL3yhYhMU/b91Oh6Fra7b7x7vb"
        "ZCVk2HPnZcx8DUUU8X3CqSKlrCKR7JQI15UK75WJHHNSQaVwXRXV1FBLHfU0CNc24aaZFlppo124r5Muuumhlz76RToOMsQwI4ziYYxx"
        "Jphkimm8zDDLHPMssMgSy6ywyho+1tnAT4AgmyKvt9hmh132CBMhyj4x4iQ44JAjkf8nnHLGORdccsUHyLhYQQ=="
    ),
    "external_link_latest": (
        "eNrtlslOAkEURU91C7ZtM4gDirPihAo44KygIiKoKM44bSQhcWFCXLhz7V+4MXHvD/BnWul0J8aVcWfSZ/Pybt1Kvbe69ZJNZzx6SFc1"
        "DZtPi5olxS09n4vcF7LposKTEvhutNEVBLi9yKJWy3cf1kV3SCpayvXwWClXfWDWaCVBTJpglF/zFnwumSMIhAiDoghhWGf2Aj971UD4"
        "ZaOYnR+XnFLVNbmBKmxTzX7gnX9DJm684uDg4ODg8DeEDEaVOly4qZd52IBOowxRD158Mi6bCNBMC620EaSdDkJ00kU3PfTSRz8DDBJm"
        "iGFGZJaPEWGcCSaJEpN/hymmmWGWBHPMs8AiSyyzwiprJEmxzgabpNkiwzZZdsiRZ5c99ilwwCFFjjjmhFPOOOeCEpdccc0Nt3wBIWc+"
        "iA=="
    ),
    "external_storage_earliest": (
        "eNrtlcdOw0AQhj87BRNa6CG00HvvvSUh9N6rEEhwAQlx4MgR3iSPwZG3gnW8G2Er4oBAQiJzGc3s77HX+/n3SywczfEFfZhhGLjx8zne"
        "Zbwa9lqtn8usyfwsc1xXfS2xFpD9fDnfqdvejERM9bsj1H263VY2SMd/jFhkZt3M+7JWPL3pdt391WUi3z1cX91/4nL6m/fV8FgzNFU3"
        "W1m3GtnYuXTWLsG7qfSLhvWoFv8eoTD7um4NMuSOXJq69NXxJE9/4hy2VtfCmtiJcolHz9d69R5CrjTDdq68X3Il7U6oSFknuUqOMFJy"
        "lSHmalJjOvGzN7WPBpLnpThUDhxwKNd/9fsOOP4nca9dl/iuOy9ubtMI/RiJuqDJLcjxCloMMvGRJXwsh1zyBF/5FFBIEcWUUCrOp4wg"
        "5VRQSRXVhKihljrqaaCRJkFbC6200U4HnXTRTQ+99NHPAIMMMcwIo4wxzgSTTAlfnmGWOcJEiDJPjAUWWWKZFVZZE7RtsMkW2+ywy57w"
        "/wMOOeKYE0454wNDtlIB"
    ),
    "external_storage_latest": (
        "eNrtlssuQ0EYx39zjlYdRdVd3e93db/f2ypF634nEU2IhEQsLLyALS9gaW9nw94DeAWJh2Ccnkm0SxsR/W0m33e+M+eb/0zmf66DvkCG"
        "UWzoDgeKD4tnK+W18qHZppNw0Lekcam5vxcqDA0B9kzkoJ9HDx+sF+2ur4zt7OIoev4krGQnP+Dm9nHIbEEgRA1omhBO65laQGKsOxEu"
        "GWhm5MImu9QNh1yBLlTRs/rAPX+GgNd5l6hFilLcGhNjUwu+diOmUEyL1AY5g5kVvGjx6ikKlaqmbmrHVZar39Xi1fP0FvRPRL53qg7a"
        "uxZfax7DtoPjU5IkSZLkXyOkMerSKGzSJFLltZ+GQbo00QwyyZJ2mY2bHHLJI58CebkWUYyHEkopo5wKKqmimhpqqaOeBhppopkWWmmj"
        "Xf47dEin76KbHnrpo58BBhlimBFGGWOcCSaZwoefANMEmWGWEHPMs0CYCIssscwKq6yxzgabbLHNDrvssc8nJfNO3Q=="
    ),
    "virtual_dataset_earliest": (
        "eNrtlktP1FAUgL+2M1AHRwYVRVBBUBF5iCiK+ABkZhgVGRhAnj4WkpC4ICEuXLrEtX+CBb/A1ayMO/+PGzyd3qttFyxISEg4X9KcnHtP"
        "bx/3y2m/lfLFbKY1Q4DvkyJHlH1DtSWe2/kPJjom7pi469pxpzZnTqfJrJ+sW6gUCkH1fgJ7ncFUGH2Uk0ipMDEbxGWTW59+ufG67Y2P"
        "tbj1eXNjO+Ll+CGv65AO13BsfiuMbjhwmriXydwT34PKnAyEtxr6n5aKYNx1w4V880SeY0+tJu7k67HYh/mZct6RJ7Fd4kv64Hr7Hjo8"
        "dTjuVd3ReuVZr8LxlFf1o536rFkpyH7+yX6SndRNOaEmumJTSsypo16sOEWGBvEtyxkaxZ4mceUc52nmAhelS12ilTYuc4WrtNPBNTrp"
        "4jo3uEm3WNzDbXrpo58B7jDIXYa4x32GecBDRnjEKI95wlOeMSZ9eYLnTJKnQJEpSrzgJa+Y5jUzlJlljgrzLLDIG5ak/6+wyhrrvOUd"
        "75maLE87//X/1+8rJH5Mah+Egc3h2hfCi0wEuJG8JZEHNMhRL8fe7+8/4m9vp1ENUhRFURRFURRFUZSj5i/dx1Bc"
    ),
    "virtual_dataset_latest": (
        "eNrt1ktPE1EUwPH/nWnrOLRQQQVBoNXy8lErCiLvQp1O5dFSiu/HRpImLEwICzd+ALfowqVLFu7cubEr93wLPwMbuJ3OpMQFC01ISM4v"
        "mdyc+8jcx2TO/eTmnJjdbZuWReDQV+tqxBm//ku2sl90c2WDD0b78Y4B20BBpBVdmNub7374AyPxek34/U51c/uX8itH+Qe7n39OeVNQ"
        "KJUCw1Aq6rcFC/g7NqOouA4ML4oT1rM0bUuvwFRBp1rwgj3ODCcT/ebtRfL3QWzr+POfe9Ni6RMMmTW/k3dg3zlT/jiJjwghhDiJ0j9/"
        "kxBhIpzTieE8Ni06UcRopU2nhAu008FFLnGZTrq4Qjc9XKWXPvpJkOQa10kxwCBDDDPCDW5yi9ukuaPvDnd1pr/HfcYY5wETPGSSKaaZ"
        "YZY55smywCI5HuGQx6XAY5ZYZoVVipRYo8w6FTZ4wlOe8ZwXvOQVr3nDW/KLxWXVyF3NZKW5zeU1eJePdHUMfS/R62021NXTn1dnGP4g"
        "5aXKemmxW6iUgp5f2+SLEUIIIYQQQgghTtsRbhxSJA=="
    ),
    "many_members_earliest": (
        "eNrtWztQGlEUvYDohsRkVVAEPyt+Yv676yfamRnJUBkmSUFJMimoMpaUlqSzpLSktLSktLSktKS0tEse753H5DGTN0OhYZ17i3t4y7mH"
        "nbN37y4r/iodfpxM5VLUC8ehMXLp7/iNON411/r9KjAGbABbcb09Jt/LYvsU9Ad5Xz8Xi0QTff3Bz/HHFHpYu3MKD7BuLpj74xUUnmDt"
        "vFB4hvXpW4VtrLPbCm+IYxSjVPxQlscXjXarj/vG3X5ujJKqt2N6vakwrjagff+JCdHvPabr6G2q/5PkyO3xuBJycIYkYuKl6tiBPTkZ"
        "iePw5ejTYUxMCb13XsLO19OknrTz9HxojNt53qBwROP++8oZ6b66fz/ckfbjPp136JHIcZFTIidEfizymMhPRE6KPCnyuMhPRZ4Q+ZnI"
        "jsiurHXFVb1XO0XTsnaaZmTtDKVlbZoysjZDs7J2luZk7Zw4Fr3aLM3L2nnKydoc5WVtnhZk7QItytpFWpK1S7Qsa5fFNOjVerQia1eo"
        "IGsLtCprV2lN1q7Ruqxdpw3i4ODg4ODg+B/3XVm+DzX88NgPw49N9sPww2c/DD/22A/DjwP+HnsHz7c29WOmKTvf18+lpu28Pc2fsfMO"
        "NKb5vmK486DEc8Hwo8x+GH5U2A/Dj2ok/s5QwrqcsfPLwErWzqsAa/N2XhVYz/EcHq6vanyeGX4csx+GH3X2w/DjJBJzuIZ1I2/nHwOv"
        "F+28OvBmyc7ru+DxHB6urxp8nhl+nLIfhh/NSDw3+P7t5w/f94EBMARuAbeBO8Bd4HvgHnBfYQC9AHoB9ALoBdALoBdAL4BeAL0AeiH0"
        "QuiF0AuhF0IvhF4IvRB6IfTC/f7v6GoPrt/OInGd079LdFfs/FN9nFbtvKa+3q3ZeWf6+rrO17nh+qrFc93w45z9MPy4YD8MP9qRmMMt"
        "rG+f2/nn+vnPSzvvQj/XeWXntfX3mNc8h4frq0s+zww/rtgPw48O+2H4cR2BOTxOl3qv3tj5V8DOOzuvA+z6dt61nv+BndcFOlt2nv6/"
        "nurOQ++r7kj31R89FNUn"
    ),
    "many_members_latest": (
        "eNrtmm1MW1UYx5/bF1pLt/WF1wKlcHmbgJZCS/tNWak101h5iYM5A0qWRVSMUUMyxJJFwbjIfGHDqZsSrTNG0gTY5pTBMpAJxqCZYXPL"
        "XEI/jA3CEk1G4gc89+nL1jOX+OHsw4l9SJ7z3P89/3vP+Z2U03vhLa/bs0Fj0sjVaojGeiQU1vBxpIHtjtrrj3nddTLo1MhAAJAZJLnA"
        "GD7dr4r02wZ3LULn+4ZxCAIIQgEZgUwQZJFzd2rlWhB06uixDpRk7HKNmoxdLkBk1rHJHwFu4lnDQD1LFmqOWWwPfF3IkoWOYxYd7eXj"
        "LFlkcMzCs2P8HEsWFo5ZbO7Y1OSpr6+Fo5Ff2IIS4G9BKsYE2CpN92rR6UO3+VjyK+GY3+5AYPpu36OmwesGpYQumRy1lahTwrqZ/IRj"
        "4EDgmMf7cE1s25VCcV+kLYvfwaNRMhqsv9MtpT3wHpJlJGtIlpOcTLKCZC3JSpI3kJxE8kaSVSRvIllNsg69OtCjVw8G9BrAiF4jpKA3"
        "BVLRmwpp6E2DdPSmQwZ6MyATvZlgQq8JstCbBdnozYYc9OYQCJLXDLnozQULei2Qh948yEdvPojoFaEAvQVQiN5CKIJEJCIRiUhEIhLB"
        "9sudleMvdx+PDg+wZOHkmMV6bbCUJYsHOGbx+NKvXk+d1wcqnKwObntLtk8ZPo4+VcWmqYhvzf/xjoqbUKV3bCQspB1TRRX9lpOlnnry"
        "mAAnhH9fi5tX8kEncUevsxoZqQjx7dXp1Z6ahkc8oMwq79VCD5EM8KgYzIPXBKlsvpYuQjuWXXafCJ9hufFCrwgilu0NM6XQgbbyqu8q"
        "oB/V0aGfGsElk8oeuN4KW7HDc/2unbCO5Ykf1p6Hh7Cvzdj8EhSjOpDc8ir8iOUn3dpOGMEOXw3Pd0ExXqxp4kYX6FH9vTTrTfgC+56+"
        "3/sOLKA6ZJn7EN5HdWJxPgArWE5dmvwWmrDDB4dNp8gThVSWyftPwQUsj4fEn8GFZXdy30XYgWVR/uofsIS2J977chHsWJafTVqCVByO"
        "f3TmGkyjuvDu+RU4hrbZsaS6/+s+4OX55VnjyaMsWfg4ZmHfu1vJksU2jlmM65aNLFm0cMyioS00y5LFLo5ZzAn+ZZYsXuSYxf5De6ZY"
        "sujkmMW8/8Y3LFn4OWbRujPzGZYs+jhmkXugu4Uli30cs2g0z7pZshjkmMWei0Uhliw+5ZiFw/j2CksWRzhmMTQSUrBkEeSYxUzzR2+w"
        "ZHGcYxa/rB38iyWLSY5ZZA6+/iBLFmc4ZhEMXXqKJYt5jlmUTdqY7iPnOGZx8PCVTpYsLnPMwuJoZvqceoVjFn9uqVJ5vO5b/p2IzPC3"
        "6t4cAVRPt77QZrVVXy4Jn4gpzuXNlOJauxcSwWvErz8JzVT2K9G1tVpHIH61rRUTAqXY5mSUUrkgp5SqRQWl2MUkSnFE/8AWU6q1ekpx"
        "ZhgoxaVOi1cqrCnplFJhyaAUW1kmpVQ6TZRS5c6iFLsvm1IcT+ZQSvUuM6U4X86lFJffQn2GrHvzKKViMJ9SbJ+LlFIZLKCUqu8LKcV+"
        "pohSHGeLb1n/fwAGyIyy"
    ),
    "deep_link_latest": (
        "eNrtnH9wVNUVx7+7SzYhYZOQZMkSY/hdqAjZ/Nj8KIZKNsZkVgn6NqVDqOlUYmFCBhpAoxUcwNEuorAK6EAYx8QJ6qRqCwYjQyOlEFqw"
        "K7QaYsCWogwOtmgtHUUwvnv2rW68b8bjzNJhOvf+8e7J7v3c+73n3nOyOTPZQFVFpSMxK9GWkIBIGzTaR7Xhn93G62O8nzxaU1VxuxUt"
        "1rTogZGWaIUFsKdA74YtaGhYujMy5U2ITbsjseNajoSRQoJdSGhoLrIYsDcmElbf37HGkBBeLCzkXcN/S4cb436MK9Y+eqb75wwvXEkJ"
        "B7oPdV4FEmI321WwmUpNuwlbjPtjTQIupOvGhUz9YRmv3zAhIb4U6LXpRm+ceMSLhyB6k8TDIR4pYvwSG4Iu3TgRv+LcVbRFXOGmtqi2"
        "qLaothjJqLdXzYHIkVakQvp888aU8M+RlIsbjT57aF/HXHGYWMdo4c8cY/W+rjby7l5b37Zyf1UF4sS4JP29BVP6ciLjI6s0Z73yaaWm"
        "j0JRXPiVJAztv15vDlr0NSKrrbcN/eQR6efXL+so999SibjkSess2K3/QpmJnIRFVjiHCbPipT/ZECLzgR3v27F6lDBL3U+lwpsmzP0X"
        "uzMQsgvz5O9WZMIxXJi/almZCc0lzL9tnuVCIE6YVZnzsqAlC3PPsnHZiKMZyo6mTIBGS7x/5O8T4UwQZtsfZ01Hry4+E/POvjMdAZpX"
        "++RELnwOYV5OqHPDkSTMwaOd+QiNEOY9/e2luEwiPTU/mQEfYQOLZpYhQGPXWs/PgsMmzD/3/rscPgsN8H6mu54wf/9tGnxOYeYv/kDD"
        "ZRI5t+lJPzRaIvnUhlo4COubuqkWAZKz8h1/PXy0zbol+++ElyarbZy2ED5aeFXOLt2MF+aHT49bCmeGMPtb31oGzSrMFc+euBsBUvZC"
        "0+DdcNBkD7etbEEoVZgvN5beCyc5taPzl6uwmpTd+chDa+BIEaYzsH8tgonCXH7yjYfgGynMj3smBOAk6b8/UrMRIfLvmheuGX/1BKOS"
        "oCQoCUqCkqAkKAlKgpKgJCgJSoKSoCQoCUqCkqAkxEpCub96NuJsrZs2wkm1srNGjXda31jDGJn0fBtU+/9s4XL3suvbW6HR+f8w7dB2"
        "BKkcuyE9ox33plN1+Ply3aR6eNP6nB2YQWbV/enPIUjF1MqBU7pJ1eyUu+yd8FENtvPzx7sQooLuIwe2dSFI1dZQ0ulXEaKx87vqezCD"
        "lvhN+9x9CFLl214z5Q/QIMx95390AAEqQJfssR2Ek4q/j2UtP4ggma0Xzh2BRmZhqf9NaLREYeumN+GkJcYtnHkUAZKD9zKOwUEV6vp/"
        "bPwLHDTvi0XtbyFIq3XNfPJtOMN6U7uOI0AV6jsODxyHj2rRizuq+9FL2Nbtu/uhUa0/+/SoAWjkM5yZM4AA1cN7cv95AgGqOnteH38S"
        "PVShXurZfwohGjun/gvdJK8n7h3zHhw0dk/Z7HPYTS7ZnJb+MZz2MPbAf+EgORfbznyKEOnd6sq9hCDpdTkrL6GXZtjgfeISnDRg9N7M"
        "LxCkGd7dt20QPVSI/+tsz9uq3K0kKAlKgpKgJCgJSoKSoCQoCUqCkqAkKAlKgpKgJCgJSoKSoCRc6X8+qKoo/+rfAuECXtv11CELCpoa"
        "mn7W0FzvLimpb2G22pLwJNF0KZs+XgLVVFPtf9uGxn8G8Iplbm5UBBfnsyN4kluK/+ICNv2cCV3IpqfmybSHTb9oQhex6bx8mS5m07tM"
        "aH7OLS6QaX7OfU2mS9xsuqxQpvPY9OsmNP+ueT0yzb9rB01o/l2rLpJp/l07YkLz71pNsUzz79qx4m+J/1TgsHXRYNTsHr62C5MlbR6+"
        "tpYpMs2Pg89NaH4crPq+RBfx48BynUzz4+BBE5ofB/FTZZofB+tMaH4cOK6XaX4cbDSh+XctfZpM8+/aFhOaf9dGT5dp/l1rleli/l0b"
        "kyvT/LvWlvst8Z8MNO6o3xk1eyF/Zz+dKMcgf2enTWj+zu6aJNP8KPrAhOZH0eLvyTQ/is6b0Pwoap4c089/I4D53nHro8+f78XD2dJO"
        "CvlenH2tTPO9eNSE5nvRnyPT/FzUN16m+blo3gSZ5ueikxNiev6JwJYlq1OjtBTwvVg0WtpJAd+L3SY034s3ZMk034s9JjQ/75VfI58g"
        "P+8dMKH5ea8qO6bnr/dWf7U3Sks+34vPOKWd5PO9OHGUfAZ8L+4woflevC5Tpvl579cmND/vuV0yzc97O10xPX87sHWsZXL0CfK9OCJN"
        "Pn++FzeY0HwvpqXLNN+Lm01oft5zZcg0P+9tM6H5eS/HGdPzHwY88fDOH0RpyeN78Z5kaSd5fC9eNKH5XlyZItN8L0a+dyea5ue9tSY0"
        "P++JbwH85vnz815gZEzP3wrs237ssygt7u/wF3y8tBM334t1CTLN9+LZJPkM+F5sHCHT/Lz3LxOan/d+4ZBpft77jyOm56+3Re7GM9Fn"
        "wPdit0U+Qb4Xb7DKNN+Lw20yzffihyY0P++JL6X6Js3Pe7+Nk2l+3ttsN+iEG6333acnwSXLFzY0T1/oQW5zwwLW+VcPPf86zehvM/oa"
        "o7/V6H1GX230Nxu98e2pdbOMvszoS8P9ILOtGzPj1S8BJZ5pXQ=="
    ),
    "deep_link_latest_ordered": (
        "eNrtnH9wVNUVx7+7m2yWhE1CkiU/iOE3Yglk82PzQ5pUkhAT1xL0bdAhtKmFKBYyMAnYYAuoVNqFTmEtFgfCOJO0gjSjdQZDMbUxpWRt"
        "i13wJyEQi6CD1Q61HRyrYLr37Nu68b6OpzMbh+nc+8e7J7v3c+/3nnvP4XGY4K2trrHHZ8VbbDaE24jeli0J/ezUP79xyob++trq283j"
        "D5mn0ScW0+eQz7d4M2iINV08TTHhJWJWNDevvRT+6S58Gc2UO32Y5OMAyWeKt2ZGCrcK4c2tnWG2cUwlr1q41xeS3B4SY04RH98yLvT1"
        "Gb3HnWMn4Uj9noW6hNDi/+WIx1DCsSMvdl8DEqI32zWwmRpNWwhzfOgDcwJwOTVoXBZhagoGx7CQEFcG+C1Bwx8rHnHiIW6cP0E87OKR"
        "JMavscCXETRm5ebWX0NbHOt8oraotqi2qLYYzqi31y6GyJFmJEN6l3pptp5q9ZSLm/Q+e3TPfZ+IEeuEX2zoOSXY+xvC366eM+Nwpae2"
        "GrFiXELwuxWzqyaHx4dXWbItPlCjBUehODb0SQJG95+ttxjtwTXCq31kGf3mEe4PTn7/xkrPrTWITZy5zYTDwT9QKpBju9cMR4wwq5/+"
        "owUBMjfvf9uKBycKs8z5WDKqUoR59OMjaQhYhXn2t+vTYR8nzB+1b0yHliHMNx9dkAFvrDBr05dmQUsUZm/b1GzE0gzlJ5OmQ6Ml3j7+"
        "lxlw2ITZ+YcF8+APik/H0oun58FL82r/PJMHt12YV22NTtgThDlysrsAgfHC/O5gVxmukkhX/Tfmw03Y0L0V5fDS2C3mSwtgtwjzz/5/"
        "VMJtogFV/wq6njDP4G0a3A5hFqx+V8NVEnlHy24PNFoi8dyOBtgJe2POrgZ4Sc7G054muGmbjWuOLkcVTdawau5KuGnhTTmHgmacMN9/"
        "fOpaONKEOdjxWhs0szDX//zMffCSsoMtI/fBTpP9sHNjOwLJwvzVqrINcJBTn+j+3iY8SMqWb9/6EOxJwnR4j26BL16Y686+tBXuCcL8"
        "oG+6Fw6S/rvj9TsRIP8+dHDStGsnGJUEJUFJUBKUBCVBSVASlAQlQUlQEpQEJUFJUBKUBCUhWhIqPXWLEGvp2LUTDqqVefQa79yqqbox"
        "rfGWx6Da/2cLlbvbcrs6oNH5fy3lxX3wUTl2R2paFzakUnX4ycqgSfXwlh/n7Md8Mmu/n3oAPiqm1gydC5pUzU6629oNN9Vguz95pAcB"
        "KuhuP7a3Bz6qtgYSzv8aARq7rKepD/NpiWe67uiHjyrf1vrZv4cGYfZfWnIMXipAl/ZaBuCg4u9PstYNwEdmx+X3jkMjs6jMcwIaLVHU"
        "sesEHLTE1JUVJ+ElObiQ9jLsVKFuemvnK7DTvE8Vd70GH63WU7H7dThCepN7TsFLFepv/mnoFNxUi179RN0g/ITt2Xd4EBrV+rPPTxyC"
        "Rj7DO4uH4KV6eF/e387AS1Vn1wvTzqKPKtRrXUfPIUBjFzd9GjTJ6/HPT74AO43tLV/0Hg6TSx5NSf0ADmsI2/wh7CTn4853PkKA9O7J"
        "yLsCH+nNcNRcgZ9m2FH10ytw0IDM59M/hY9mGO7fO4I+KsS/usj1uip3KwlKgpKgJCgJSoKSoCQoCUqCkqAkKAlKgpKgJCgJSoKSoCQo"
        "CWP9ywe11ZX/+bVAZAAnHhi+aEJhS3PLt5tbm5ylpU3tzNZfGpokki5j09VlUE011b7cNjr+0wBbW/1zERFcUsCOYJ9Tiv+SQjadli/T"
        "RWx6twHtYtNZBTJdzKb3GdAlbHpKoUzzc26XAc3PubOK5IztZNNPGtD5bDrXJdP8u/a0Ac2/awXFMs2/a88a0Py7Vloi0/y71mtA8+9a"
        "RekXxH8y0LPcZY2Y3cXXdtdsSZuLr+2CAc2Pg3tukGl+HPxVpov5cdDyFZnmx8HfDWh+HLTNkWl+HHxoQPPjYEOuTPPj4IoBzb9rm+fK"
        "NP+umefJNP+uPWxA8++aLU/O2Py7tt2A5t+1ROcXxH8iMGm/562I2Yv4Ozs+Q45B/s7qZ8o0f2cvG9D8KGqYJdP8KDplQPOjqPF6meZH"
        "0fD1UX3/Gw+UTnq4OfL8+V4suU7aSRHfi88Z0HwvlufINN+LLxjQ/FxUNV2m+blowIDm56K6GVE9/3hg4Be/WRahpZDvxc5MaSeFfC/O"
        "zJJpvhcPGNB8L86ZJNP8vPeUTBfx815+tkzz896h7Kievw241ZtwPkJLAd+L9onSTgr4Xtwp04V8L6amyzTfiz8zoPl5LzNDpvl5r8OA"
        "5ue9yZlRPX8rcPGr1esjT5DvxfYU+fz5XvzEgOZ7cVOqTPO9aEqTaX7e+4EBzc97cQ6Z5ue9bY6onn8McHrLs+MitOTzvXg+UdpJPt+L"
        "dyfJNN+L7xrQfC+uTpZpft67ZEDz817rBPn8+Xnv8oSonr8Z+OXA1usitDj/h7/Bx0k7cfK96LfJNN+LnvHyGfC9+IYBzc97S+0yzc97"
        "Zw1oft77VmJUzz/Y+k8+/kjkGfC9ONMsnyDfiwcMaL4X11tkmu/FO2Nkmp/35sfKND/v5Vhlmp/3TOGYs91kvv/+YBJcs25lc+u8lS7k"
        "tTavYJ1/3ejz92t6f5ve6/8zo//reu/W+zq9v1nvF+r9Ar0v13v93/VGmO07N7f2/hvXeHNV"
    ),
}

NAMES = tuple(_FILES)


def write_sample(path: Path, name: str) -> Path:
    """Write one of the files."""
    path.write_bytes(zlib.decompress(base64.b64decode(_FILES[name])))
    return path
