"""What models say where a prompt was asked for, by language: patterns as data (pure).

A prompt speaks to a reader about a text. What is listed here speaks of the speaker, of the request,
or of the answer itself. All patterns are for `re.IGNORECASE` and find no capitals of their own.
"""

import re
from collections.abc import Mapping

REFUSALS: Mapping[str, str] = {
    "en": r"""
        \b(?:i(?:'m| am) (?:very |so |really |truly )?sorry|my apologies)\b
        |(?:^|[.!?]\s+|\b(?:i|we) )(?:must |do )?apologi[sz]e\b
        |(?:^|[.!?]\s+)(?:sorry|unfortunately),?\s+(?:but\s+)?(?:i|we|this|that|there|no
        |something)\b
        |\bi (?:can't|cannot|can not|won't|will not|could not|couldn't|am unable to
        |'m unable to)\s
            (?:help|assist|provide|create|generate|write|fulfil|comply|answer|do|discuss|produce
            |offer
            |give|engage|continue|process|see|access|read|find|summari[sz]e|open|view|complete)
        |\bi(?:'m| am) (?:not able|unable|not comfortable|not allowed|not permitted)\b
        |\bi must (?:decline|refuse)|\bi(?:'d| would) (?:rather not|need (?:more|the|to see))
        |\bi (?:don't|do not) (?:have|see any|see a|feel|know what)\b|\bi (?:didn't
        |did not) (?:see|find|receive|get)\b
        |\bas an? (?:\w+ )?(?:ai|artificial intelligence|language model
        |assistant)\b[^.]{0,30},?\s+i\b
        |\b(?:this|that|it|request|content)\s(?:\w+\s){0,3}(?:against|violates?)\s
            (?:(?:my|our|openai's|usage)\b|content polic|safety polic)
        |\bplease (?:share|provide|paste|send|upload|supply|attach|include)\b
        |(?:^|[.!?]\s+)could you (?:please )?(?:share|provide|paste|send|upload|clarify)\b
        |^(?:cannot|can't|unable to|not able to) (?:help|comply|assist|process|generate
        |create|provide|complete|fulfil|answer|write|produce|read)|^(?:request (?:denied|rejected)
        |content (?:blocked|filtered|removed))\b
        |\bi(?:'m| am) (?:just |only )?an? (?:\w+ )?(?:ai|language model|assistant
        |chatbot)\b|\bi (?:won't|will not) be able\b
        |\bnot (?:something|a request) (?:that )?i\b|\bmy (?:guidelines|programming
        |policies|policy|capabilities)\b
        |\byou (?:haven't|have not|didn't|did not) (?:actually )?(?:provided?|included?
        |shared?|attach(?:ed)?|pasted?)\b
        |\bthere(?:'s| is| was) no (?:text|document|passage|content|attachment) (?:in your
        |provided|attached|given|to)\b
        |(?:^|[.!?]\s+)(?:the|your) (?:document|passage|input|message|file) (?:appears
        |seems|is) (?:to be )?(?:empty|missing|blank)\b
        |\bno (?:\w+ )?prompt (?:could|can|was|is)\b|\bit (?:looks|seems|appears) (?:like
        |that|as if)\s
            (?:you(?:'ve| have| forgot| did| haven't)|your (?:text|message)|no (?:text
            |document)|the text (?:is|was|you))\b
        |(?:^|[.!?]\s+)the (?:provided |given )?text (?:provided |given )?(?:is|appears
        |seems|does not
        |doesn't) (?:to be )?(?:empty|missing|incomplete|too short|cut off|contain enough)
        |\bno (?:text|document|passage|content|input) (?:was|has been|is|were) (?:provided|given
        |included)
    """,
    "de": r"""
        \b(?:ich (?:kann|darf)|(?:kann|darf) ich)\b[^.?!]{0,90}\b(?:nicht|keine?\w*|leider)\b
        |\bich bin (?:nur )?(?:eine? )?(?:ki\b|künstliche|sprachmodell)
        |\bich bin (?:leider )?nicht (?:in der lage|befugt)|\b(?:es )?tut mir (?:sehr )?leid\b
        |^(?:entschuldigung|entschuldigen sie|verzeihung|leider)\b[^.?!]{0,30}\b(?:ich|mir)\b
        |\bals (?:ki|künstliche intelligenz|sprachmodell|ki-\w*(?:modell
        |assistent))\b[^.]{0,60}\bich\b
        |\bkein(?:en)? text (?:vorhanden|angegeben|erhalten|übermittelt|gefunden)
        |\bes wurde kein text\b
        |\bbitte (?:stellen|geben|senden|schicken|teilen|fügen|laden) sie\b[^.]{0,20}\b(?:text
        |dokument)
    """,
    "fr": r"""
        \bje (?:suis|reste) (?:\w+ )?(?:désolée?|incapable|dans l'impossibilité)|^désolée?\b
        |\bje (?:ne |n')(?:peux|puis|pourrai|saurais|suis|dispose|ai) (?:\w+ )?pas\b
        |\bje suis (?:une? )?(?:ia\b|intelligence artificielle|modèle)|\bje m'excuse\b
        |\bil m'est impossible\b|\bje regrette\b
        |\ben tant qu(?:e modèle|'ia\b|'intelligence artificielle|'assistant (?:ia|virtuel))
        |\baucun texte (?:n'a|n'est|fourni)|\bveuillez (?:me )?(?:fournir|partager
        |transmettre|envoyer)
    """,
    "es": r"""
        \b(?:lo siento|lamentablemente|desafortunadamente)\b|\blamento (?:no|pero|informar
        |mucho)\b
        |^(?:disculp[ae]|perdón|perdona)\b|\bme disculpo\b|\bno (?:puedo|me es posible|soy capaz
        |estoy en)\b
        |\bcomo (?:una? )?(?:ia|inteligencia artificial|modelo de lenguaje|asistente (?:de ia
        |virtual))\b
        |\bsoy (?:una? )?(?:ia\b|modelo|inteligencia artificial)|\bme temo que\b
        |\bno (?:se ha|has|se me ha) proporcionado\b|\bpor favor,? (?:proporcion|compart|envíe
        |envía|adjunt)\w*
    """,
    "pt": r"""
        ^(?:desculpe?|perdão)\b|\b(?:sinto muito|peço desculpas?|infelizmente
        |lamento)\b[^.]{0,25}\bnão\b
        |\bnão (?:posso|consigo|me é possível|sou capaz|estou apto)\b
        |\bcomo (?:uma? )?(?:ia|inteligência artificial|modelo de linguagem|assistente (?:de ia
        |virtual))\b
        |\bpor favor,? (?:forneça|compartilhe|envie|partilhe|cole)\b
    """,
    "it": r"""
        \b(?:mi dispiace|sono spiacente)\b|^(?:spiacente|purtroppo|scusa|scusi|chiedo scusa)\b
        |\bnon (?:posso|sono in grado|mi è possibile|riesco a|ho la possibilità)\b
        |\bcome (?:una? ?'?)?(?:ia|intelligenza artificiale|modello linguistico|assistente (?:ia
        |virtuale))\b
        |\bper favore,? (?:fornisci|condividi|invia|fornisca|condivida)\w*
    """,
    "nl": r"""
        \b(?:ik (?:kan|mag)|kan ik)\b[^.?!]{0,90}\b(?:niet|geen|helaas)\b|\bhet spijt me\b
        |^(?:sorry|helaas|excuses)\b[^.?!]{0,30}\b(?:ik|me|mij)\b
        |\bik ben (?:helaas )?niet in staat\b
        |\bals (?:ai|taalmodel|ai-\w+)\b[^.]{0,60}\bik\b
    """,
    "sv, da, no": r"""
        \b(?:jag kan|jeg kan|kan jag|kan jeg) (?:\w+ )?(?:inte|ikke)\b
        |\b(?:jag är|jeg er) ledsen\b|^(?:tyvärr|desværre|dessverre|beklager|undskyld|förlåt)\b
        |\bjeg beklager\b|\bjag beklagar\b
    """,
    "fi": (
        r"\ben (?:voi|pysty)\b|\b(?:olen pahoillani|pahoittelen)\b|^(?:valitettavasti"
        r"|anteeksi)\b"
    ),
    "pl": r"""
        \bnie (?:mogę|jestem w stanie|potrafię)\b|\bprzykro mi\b|^(?:przepraszam|niestety)\b
        |\bjako (?:model językowy|sztuczna inteligencja|asystent ai|ai)\b
        |\bproszę (?:o )?(?:podać|podanie|udostępni|przesła)
    """,
    "cs, sk": r"""
        \b(?:nemohu|nemůžu|nemôžem|je mi líto|je mi ľúto|nejsem schopen)\b
        |^(?:omlouvám se|bohužel|promiňte|prepáčte|ospravedlňujem)\b
        |\bjako (?:jazykový model|umělá inteligence)\b
    """,
    "ro, hu": (
        r"\bnu pot\b|\bîmi pare rău\b|^(?:sajnálom|elnézést|sajnos)\b|\bnem tudok (?:seg|ilyen)"
    ),
    "ru": r"""
        \bне (?:могу|смогу|в состоянии|способен|способна|имею возможности)\b
        |\bмне (?:очень )?жаль\b
        |^(?:извините|простите|прошу прощения|приношу извинения|к сожалению)\b
        |\bя (?:являюсь |всего лишь )?(?:\w+ )?языков\w+ модел|\bкак (?:языковая модель
        |искусственный интеллект|ии)\b
        |\bпожалуйста,? (?:предоставьте|пришлите|отправьте|вставьте)\b
    """,
    "uk": r"""
        \bне (?:можу|зможу|в змозі)\b|^(?:вибачте|перепрошую|на жаль)\b|\bмені (?:дуже )?шкода\b
        |\bяк (?:мовна модель|штучний інтелект)\b
    """,
    "el": r"\bδεν μπορώ\b|^(?:λυπάμαι|συγγνώμη|δυστυχώς|ζητώ συγγνώμη)",
    "tr": r"""
        ^(?:özür dilerim|üzgünüm|maalesef|ne yazık ki)|\b\w+(?:amıyorum|emiyorum|[ae]m[ae]m)\b
        |\b(?:olamam|edemem|veremem|yazamam|oluşturamam)\b
        |\b(?:yapay zek[aâ]|dil)\b[^.]{0,20}\b(?:modeli|asistanı) olarak\b
    """,
    "id, ms": r"\bsaya (?:\w+ )?(?:tidak|tak) (?:dapat|bisa|mampu|boleh)\b|^maaf\b",
    "vi": r"\btôi (?:\w+ )?không thể\b|^(?:tôi )?(?:rất )?(?:xin lỗi|rất tiếc|lấy làm tiếc)",
    "zh": r"""
        (?:^|[。!?!?]\s*)(?:非常|十分|很|真的|实在)?(?:抱歉|对不起|對不起|遗憾|不好意思)
        |我是[^。]{0,8}(?:AI|人工智能|语言模型|助手)|我(?:们)?[^。!?]{0,18}(?:无法|無法
        |不能|不便|不可以|没有办法|没办法|没有能力)
        |作为[^。,,]{0,8}(?:AI|人工智能|语言模型|大模型|助手)[^。]{0,4}[,,]\s*我
        |无法(?:满足|协助|回答|完成|处理)(?:您|你|该|这|此)|没有(?:看到|收到
        |找到)(?:任何)?(?:文本|文章|内容)|(?:您|你)(?:没有|未)提供|请(?:您)?(?:先)?提供(?:文本|文章
        |原文|具体|需要)
    """,
    "ja": r"""
        申し訳(?:ありません|ございません|ない|なく)|(?:テキスト|本文|文章)[がは](?:提供
        |添付|入力|含ま)[^。]*ません
        |すみませんが|(?:でき|いたし|し)かねます
        |お応えできません
        |(?:^|。)(?:残念ながら|恐れ入りますが)
        |(?:提供|作成|生成|回答|対応|お答え|お手伝い|お応え|支援)[^。]{0,8}(?:できません
        |出来ません|致しません)
        |(?:AI|人工知能|言語モデル)[^。]{0,8}として[^。]*ません
    """,
    "ko": r"""
        (?:^|[.]\s*)(?:정말\s|대단히\s)?(?:죄송|미안|유감)
        |(?:도와|제공|생성|답변|작성|응|만들어|처리
        |수행)[^.]{0,10}\s수\s?(?:가\s)?없(?:습니다|어요|네요)|(?:텍스트|본문
        |글)[가이] (?:제공|첨부|입력)[^.]*지 않
        |(?:AI|인공지능|언어 ?모델)[^.]{0,10}(?:으로서|로서)
    """,
    "ar": r"""
        (?:^|[.،]\s*)(?:أنا )?(?:آسف|أعتذر|نعتذر|نأسف|يؤسفني|للأسف|المعذرة|عذر[اًا]*)
        |\bلا (?:أستطيع|يمكنني|أقدر|نستطيع)|\bلست قادر|\bلن أتمكن|\b(?:كنموذج|بصفتي)\b
    """,
    "fa, ur": r"متأسفم|متاسفم|عذرخواهی می|نمی\W?توانم|معذرت خواہ|معاف کیجی|نہیں کر سکت",
    "he": r"(?:^|[.]\s*)(?:אני )?(?:מצטער|סליחה)|\bאינני יכול|\bאני לא יכול|\bאיני יכול",
    "hi": r"""
        (?:^|।\s*)(?:मुझे )?(?:क्षमा|माफ़? ?की|माफ़|खेद|माफ)|मुझे खेद है|दुर्भाग्य ?(?:से|वश)
        |(?:^|\s)मैं\s[^।]{0,80}(?:नहीं|असमर्थ)
    """,
    "bn, th": r"^দুঃখিত|পারছি না|পারব না|ขออภัย|ขอโทษ|(?:ดิฉัน|ผม|ฉัน)[^ ]{0,10}ไม่สามารถ",
}
"""The speaker cannot, is sorry, is a machine, or has seen no text."""

FIRST_PERSON: Mapping[str, str] = {
    "en": (
        r"(?:^|[,—–(]\s?|\b(?:that|but|and|so|because|as|if|since|while|then|what"
        r"|than) )i(?:'\w+)? (?!,)"
        r"|^(?:that|this|your|the) request\b|\b(?:i'm|i've|i'll|i'd)\b"
    ),
    "de": r"\bich\b(?!-)",
    "fr": r"\bje (?:ne|n'|suis|vais|dois|peux|regrette|crains|pense|crois)\b|\bj'(?:ai|espère)\b",
    "es": r"\b(?:tengo|puedo|debo|espero|temo|estoy|soy una?|he (?:escrito|creado|intentado))\b",
    "pt": r"\b(?:tenho|posso|consigo|devo|espero|estou|sou uma?)\b",
    "it": r"\b(?:posso|non ho|devo|spero|temo|riesco|mi dispiace)\b",
    "nl": r"\b(?:ik|mij)\b",
    "sv, da, no": r"\b(?:jag|jeg)\b",
    "pl": r"\b(?:nie mam|mogę|jestem|muszę|potrafię|mnie|przepraszam)\b",
    "cs": r"\b(?:mám|mohu|můžu|jsem|musím|mně)\b",
    "ru, uk": r"\b(?:я|меня|мне|мене|мені|могу|можу)\b",
    "tr": r"\b(?:bana|benim)\b|\b\w+(?:[ıiuü]yorum|[ae]m[ae]m)\b",
    "id, ms": r"\bsaya\b",
    "vi": r"\btôi\b",
    "zh": r"(?<!自)(?<!让)(?<!使)(?<!本)我(?![们国方])",
    "ja": r"私(?:は|には|が|の|ども)|当方",
    "ko": r"(?:^|\s)(?:저는|제가|저의|저도|저로서는)",
    "ar": r"\b(?:أنا|لدي|أملك|أستطيع|يمكنني)\b",
    "hi": r"(?:^|\s)(?:मैं|मुझे|मेरे|मेरी|मेरा|मैंने)(?=\s)",
    "he": r"\bאני\b",
}
"""The speaker speaks of itself. A reader's question to himself is no such thing, nor is a wish."""

WISHES: Mapping[str, str] = {
    "en": (
        r"\bi(?:'d| would| do)? (?:\w+ly )?(?:want|like|invite|ask|urge|encourage|challenge"
        r"|advise|dare"
        r"|suggest|recommend|propose|expect)\b.{0,12}\byou\b|\bi suggest\b"
    ),
    "de": (
        r"\bich (?:\w+ )?(?:möchte|will|lade|bitte|rate|fordere|empfehle|schlage)\b|\bwenn ich\b"
        r"|\bals ich\b"
    ),
    "fr": r"\bje (?:vous|t'|te) |\bj'aimerais que|\bje (?:veux|voudrais) que",
    "es, pt, it": (
        r"\b(?:quiero que|te invito|le invito|quero que|convido|voglio che|ti invito"
        r"|vi invito)\b"
    ),
    "nl": r"\bik (?:wil|nodig|vraag|raad)\b",
    "ru, uk": r"\bя (?:хочу|прошу|советую|предлагаю|раджу|пропоную)\b",
    "zh": r"我(?:想|希望|请|要|建议)(?:让)?(?:你|您|大家)|(?:如果|假如|假设|要是|若)我",
    "ja": r"私(?:たち|と|なら)",
}

TASK_TALK: Mapping[str, str] = {
    "en": r"""
        \b(?:this|the above|my) (?:\w+ )?(?:prompt|instruction)\b\s*(?:\w+ )?(?:encourag|help|is
        |was|aim
            |invit|guid|ask|direct|focus|prompt|make|will|should|can|design|allow|keep|push|get
            |lead|give|work)
        |\bcontextual prompts?\b|\blearning strategy named\b|\bprevious answer was\b
        |(?:^|[.!?]\s+)the user (?:wants|asks|asked|is|needs|would|has|provided|gave|said)\b
        |\bwe (?:need|have|should|must)\s(?:to )?(?:write|create|generate|produce
        |craft)\s(?:an?|one|the)\s
            (?:\w+ ){0,3}(?:prompt|sentence|instruction)
        |\bi (?:need|have|should|must|want|could|can|'ll|will|am going|'m going)\s(?:to )?
            (?:write|create|generate|craft|produce|come up|make sure|draft|formulate|give a)
        |\blet me (?:know|think|write|try|craft|create|draft|see|start)\b|\b(?:i )?hope (?:this
        |that|it) helps
        |\bi(?:'ve| have) (?:written|created|drafted|crafted|prepared|designed|made|kept|tried)\b
        |\bi (?:wrote|created|drafted|crafted|chose|designed|tried to keep)\b
        |\bi(?:'d| would|'m| am) (?:be )?(?:happy|glad|ready) to\b|\bi can (?:also|offer|adjust
        |make)\b
        |\bwould you like (?:me|another|any|more|a different|to see|to know)\b
        |\bfeel free to (?:ask|adjust|modify|change|let|use|reach|edit)\b
        |\byour task is to (?:write|produce|generate|create|provide|formulate|compose)
        |\byou (?:will be|are|have been) (?:given|provided with|shown) (?:an?|the
        |some) (?:\w+ )?(?:text|passage|document|question)
        |\byou are an? (?:helpful|expert)?\s*(?:\w+ )?(?:assistant|ai)\b
        |(?:^|[.!?:,]\s+|\band\s)(?:please )?(?:write|generate|produce|create|provide
        |compose|formulate
        |give)\s
            (?:me )?(?:an?|one|exactly|the|two|three|up)\s(?:[\w-]+\s){0,6}?(?:prompts?
            |(?:sentences?|instructions?|questions?)\s(?:\w+\s){0,4}(?:learners?|students?
            |readers?))\b
        |\b(?:tells|telling) (?:a|the) (?:learner|student|reader)s? (?:how|what)\b
        |(?:^|[.!?]\s+)\(?(?:it|this|that) \w+s\s
            (?:the |a )?(?:learner|reader|student)s?\b
        |\b(?:if|should) you (?:need|want|would like|'d like|have|prefer)\b[^.]{0,40}\b
            (?:let me|just ask|adjust|feel free|anything else|different (?:style|tone|version))
        |\banything else i\b|\b(?:another|different) (?:version|prompt)\b[^.]{0,20}\?
        |\blet's think\b
        |\b(?:a|the) prompt (?:that fits|about|might|could|should|for (?:this|the) text)\b
        |\b(?:happy (?:studying|reading|learning)
        |good luck)\W*$
        |\bthe (?:task|request) is to (?:write|produce|generate|create|craft)\b
        |[(\[—–-]\s?(?:\w+ ){0,3}\d+ (?:words|tokens|wörter|mots|palabras|palavras|parole
        |woorden|słów|слов|kelime)\b
        |\bword count\s?[:=(]|\bhmm+\b|(?:^|[.!?]\s)(?:okay|alright),? (?:so|the|let|i|we)\b
        |\bi(?:'d| would| should| might| could)\b[^.]{0,20}\b(?:focus|mention|write|ask
        |keep|say|start|use|include|emphasi[sz]e)\b
        |\(\d+ (?:words|tokens|characters)\)
    """,
    "de": r"""
        \b(?:dieser|der obige) (?:\w+ )?(?:\w*prompt|hinweis (?:regt|hilft|soll))\b
        |\bkontextu\w+ (?:\w*prompt|hinweis)
        |(?:^|[.!?]\s+)(?:der|die) (?:nutzer|benutzer|user|anwender)(?:in)? (?:möchte|will
        |fragt|bittet)\b
        |\bich (?:muss|soll|sollte|werde|habe)\b[^.]{0,40}\b(?:schreiben|erstellen|formulieren
        |verfasst|erstellt|formuliert)
        |\bdeine aufgabe ist es\b[^.]{0,30}\b(?:schreib|verfass|formulier|erstell|prompt|satz)
        |\b(?:schreibe|verfasse|formuliere|erstelle)n? (?:sie )?(?:einen|eine
        |genau)\b[^.]{0,25}\b(?:satz|prompt|anweisung|hinweis)
        |\b(?:lass(?:en sie)?|sag(?:en sie)?)\b (?:mich|mir|es mich)\b|\bgerne? (?:passe|erstelle
        |helfe) ich\b
        |(?:^|[.!?]\s+)(?:das|dies|er) (?:regt|hilft|ermutigt) (?:den|die|dem)\b
    """,
    "fr": r"""
        \b(?:ce|cette) (?:prompt|invite|consigne)\b|\b(?:prompt|invite|consigne) contextuel
        |(?:^|[.!?]\s+)l'utilisat(?:eur|rice) (?:veut|souhaite|demande)|\bje (?:dois
        |vais) (?:\w+ )?(?:écrire
        |rédiger|créer|générer|proposer)
        |\bn'hésitez pas à (?:me|demander)|\bdites-moi\b|\bfaites-le-moi\b|\bj'espère que\b
        |\bj'ai (?:rédigé|écrit|créé)
        |\b(?:écris|écrivez|rédige|rédigez|génère|générez) (?:une?|la
        |exactement)\b[^.]{0,20}\b(?:phrase|consigne|invite|instruction|prompt)
        |(?:^|[.!?]\s+)(?:cela|ceci|elle|il) (?:encourage|invite|aide) (?:le|l'|les)
    """,
    "es, pt, it": r"""
        \b(?:est[ea]|questo|questa) (?:prompt|indicación|instrucción|instrução|comando
        |istruzione)\b
        |\b(?:prompt|indicación|instrucción|instrução|istruzione) context\w+
        |(?:^|[.!?]\s+)(?:el|o|l')\s?(?:usuario|usuário|utilizador|utente) (?:quiere|pide
        |desea|quer|pede
        |deseja|vuole|chiede)
        |\b(?:avísame|avíseme|házmelo saber|espero que (?:esto|te|isso|questo)|me avise
        |fammi sapere|mi faccia sapere|diga-me se)\b
        |\b(?:debo|tengo que|preciso|devo|voy a|vou) (?:\w+ )?(?:escribir|redactar|generar|crear
        |escrever|gerar|criar|scrivere|creare|generare)
        |\b(?:he (?:escrito|redactado|creado)|escrevi|criei|ho (?:scritto|creato))\b
        |\b(?:escribe|escriba|redacta|redacte|genera|genere|escreva|gere|redija|scrivi
        |scriva) (?:una?|um|uma|un')\b[^.]{0,20}\b(?:frase|prompt|oración|instruc|instruç
        |istruzion|indicaci)
        |(?:^|[.!?]\s+)(?:esto|isso|questo|ciò) (?:anima|ayuda|invita|ajuda|incentiva
        |encoraja|incoraggia|aiuta)\b
    """,
    "nl": r"""
        \b(?:deze|dit) (?:prompt|instructie)\b|\bcontextuele prompt
        |(?:^|[.!?]\s+)de gebruiker (?:wil
        |vraagt)\b
        |\blaat het (?:me|mij) weten\b|\bik (?:moet|zal|heb)\b[^.]{0,40}\b(?:schrijven|maken
        |geschreven|gemaakt)\b
        |\bschrijf (?:een|één)\b[^.]{0,15}\b(?:zin|prompt|instructie)
    """,
    "pl": r"""
        \b(?:ten|powyższy) (?:prompt|tekst zachęty)\b|\bkontekstow\w+ (?:prompt|podpowied
        |wskazówk)
        |(?:^|[.!?]\s+)użytkownik (?:chce|prosi)\b
        |\bdaj(?:cie)? (?:mi )?znać\b|\b(?:muszę|powinienem) napisać\b|\bnapisz (?:jedno
        |jeden)\b[^.]{0,10}\b(?:zdanie|prompt)
    """,
    "ru, uk": r"""
        \b(?:этот|данный|цей) (?:промпт|промт|запрос|prompt)\b|\bконтекстн\w+ (?:промпт|подсказ
        |промт|підказ)
        |(?:^|[.!?]\s+)пользователь (?:хочет|просит)\b
        |(?:^|[.!?]\s+)користувач (?:хоче|просить)\b|\b(?:дайте
        |дай) (?:мне |мені )?знать\b|\bнадеюсь,? (?:это|что)
        |\bмне (?:нужно|надо) (?:написать|составить|создать)|\b(?:напишите|напиши|составьте
        |составь|сформулируйте) (?:одно|одну|один)\b
    """,
    "tr": r"""
        \bbu (?:istem|prompt|yönerge|talimat)\b|\bbağlamsal (?:istem|prompt|yönerge)
        |(?:^|[.!?]\s+)kullanıcı\b[^.]{0,30}\bist(?:iyor|edi)\b
        |\bbana (?:bildir|söyle|haber)|\byardımcı olabilir miyim
    """,
    "zh": r"""
        (?:这个|该|此|上述|以上|本)(?:提示|指令|prompt)|(?:上下文|语境|情境)提示
        |(?:^|[。!?,]\s*)用户(?:想
        |要|希望|需要|让)
        |我(?:需要|应该|得|要|会|来|将)(?:先)?(?:写|生成|给出|创建|撰写)|希望(?:这|以上
        |对你|对您)|如(?:果|需|有)[^。]{0,15}(?:告诉我|随时)
        |请(?:写|生成|给出|撰写)[^。,]{0,12}(?:提示|指令)|\(?(?:字数|共\s*\d+\s*字)
    """,
    "ja": r"""
        (?:この|上記の|本)(?:プロンプト|指示文?)|(?:文脈|コンテキスト)プロンプト|(?:^|。)ユーザーは
        |お役に立て|ご(?:希望|要望|不明
        |質問)[^。]{0,12}(?:ください|くださ|お知らせ)
        |(?:プロンプト|指示文?|一文)を(?:書|作成|生成)(?:く|し|い)(?:て(?:ください|くれ)
        |必要|なければ)
    """,
    "ko": (
        r"(?:이|위)\s(?:프롬프트|지시문)|(?:맥락|문맥|상황)적?\s?프롬프트|^사용자(?:는|가|께서)"
        r"|도움이\s?되(?:었|길|기를)|(?:필요|원)하시면"
    ),
    "ar": (
        r"هذا (?:التوجيه|الموجه|الموجّه|الأمر) (?:ي|ال)|المستخدم (?:يريد|يطلب)|يريد المستخدم"
        r"|أخبرني|أتمنى أن|آمل أن (?:يكون|يفيد)"
    ),
    "hi": r"यह (?:प्रॉम्प्ट|संकेत|निर्देश)|^उपयोगकर्ता|मुझे (?:बताएं|बताइए|बताएँ)|आशा है कि यह",
}
"""The speaker talks about writing the prompt, about the prompt, or to the one who asked for it."""

# The text is the subject, and nobody is asked anything.
DESCRIPTIONS: Mapping[str, str] = {
    "en": r"""
        ^(?:in summary|to sum up),?\s|^(?:in )?(?:this|the) (?:\w+ )?(?:text|article
        |passage|chapter|paper|document|study
        |excerpt|section|story
            |essay|report|authors?|code|function|poem|book|extract|piece|snippet|script|contract
            |case)\b,?\s
            (?:\w+ly |then |also |of [^,.]{1,50} )?(?:the authors? )?(?:describ|discuss|explain
            |explor|present|examin|provid|cover|argu|outlin
            |summari|introduc|detail|focus|deal|is about|are about|tell|analy|show|highlight
            |offer|trac|report
            |defin|calculat|comput|return|recount|gives|talks|sets out|looks)
        |^(?:option|answer|choice) \w (?:is|was)\b
        |^the (?:correct |right |final )?(?:answer|solution|result) (?:is|to)\b
    """,
    "de": r"""
        ^(?:dieser?s?|der|die|das|im) (?:\w+ )?(?:text|artikel|abschnitt|kapitel|aufsatz|auszug
        |autor|bericht|verfasser|beitrag)\w*\s
            (?:beschreib|behandel|erklär|handel|erläuter|schilder|stell|untersuch|diskutier
            |befass|geht|berichte|erzähl|zeig|fasst|gib)
        |^die (?:richtige )?(?:antwort|lösung) (?:ist|lautet)
    """,
    "fr": r"""
        ^(?:ce|cet|cette|le|la|l'|dans ce)\s?(?:texte|article|passage|chapitre|document|extrait
        |auteure?|récit|rapport|étude),?\s
            (?:décri|présente|explique|traite|aborde|analyse|expose|raconte|examine|parle|montre
            |relate|résume|porte|retrace)
        |^la (?:bonne )?(?:réponse|solution) est\b
    """,
    "es, pt, it": r"""
        ^(?:est[ea]|el|la|o|a|questo|questa|il|lo|l')\s?(?:texto|artículo|artigo|pasaje|passagem
        |trecho|capítulo|documento|fragmento
            |autora?|autore|testo|articolo|brano|capitolo|passo|relato|racconto|estudio|estudo
            |studio|informe|relatório)\s
            (?:describe|presenta|explica|trata|aborda|analiza|expone|narra|examina|habla|cuenta
            |muestra|resume|relata
            |descreve|apresenta|analisa|expõe|fala|conta|mostra|descrive|spiega|tratta|affronta
            |analizza|espone|racconta|esamina|parla|illustra)
        |^(?:la|a) (?:respuesta|solución|resposta|solução|risposta|soluzione) (?:correcta
        |correta|corretta)?\s?(?:es|é|è)\b
    """,
    "nl": (
        r"^(?:deze|dit|de|het) (?:tekst|artikel|passage|hoofdstuk|fragment|auteur"
        r"|verhaal) (?:beschrijft|behandelt|bespreekt|gaat|vertelt|legt|geeft|onderzoekt)"
    ),
    "pl": (
        r"^(?:ten |niniejszy )?(?:tekst|artykuł|fragment|rozdział|autor|autorka) (?:opisuje"
        r"|przedstawia|omawia|wyjaśnia|opowiada|analizuje|dotyczy|porusza)"
    ),
    "ru, uk": r"""
        ^(?:этот|эта|данный|данная|в этом|в этой|в данном|цей|ця|в)?\s*(?:текст|стать|отрыв|глав
        |автор|документ|расска|уривок)\w*,?\s
            (?:\w+ся )?(?:описыв|рассказыв|рассматрив|объясня|посвящ|излага|обсужда|анализир
            |представля|говорит|повеству|опису|розповіда)
        |^(?:правильный )?ответ(?::|\s—| равен)
    """,
    "tr": (
        r"^bu (?:metin|makale|bölüm|yazı|parça)\b[^?]*(?:anlat|açıkla|ele al|incele|tanıt"
        r"|betimle)\w*\.?$"
    ),
    "zh": (
        r"^(?:本文|这篇\w{1,4}|该文|文章|文中|这段文字|全文|作者)(?:主要|首先|简要)?(?:介绍|描述"
        r"|讨论|讲述|阐述|探讨|说明|论述|分析|叙述|总结|描写|记述)|^答案(?:是|为)"
    ),
    "ja": (
        r"^(?:この|本)(?:文章|論文|記事|文|章|テキスト|物語)(?:は|では)[^?]*(?:います|いる|した"
        r"|です|れる)。?$|^(?:答え|正解)は"
    ),
    "ko": (
        r"^(?:이|본)\s?(?:글|텍스트|문서|기사|논문|장|문단)(?:은|에서는)[^?]*다[.]?$|^(?:정답"
        r"|답)은"
    ),
    "ar": (
        r"^(?:يتناول|يصف|يشرح|يتحدث|يناقش|يعرض|يستعرض|يوضح|يروي)\b[^؟]*(?:النص|المقال|الفصل"
        r"|الكاتب|الفقرة)|^(?:هذا )?(?:النص|المقال) ي"
    ),
    "hi": r"^(?:यह|इस) (?:पाठ|लेख|अध्याय|अनुच्छेद|कहानी)[^?]*(?:है|हैं|था|थी|गया है|गई है)।?$",
}

# Words that a sentence does not end with. Those that double as a verb's particle are left out.
UNFINISHED: Mapping[str, str] = {
    "en": (
        "the a an and or but nor of to at by from with into than which whose their its his "
        "her our your my if because while whether between through during including such as "
        "is are was were be been has have had especially"
    ),
    "de": (
        "der die das den dem des ein eine einen einem einer eines und oder aber von vom zum "
        "zur für bei im am als wie dass ob weil wenn sowie durch über ihre ihrer seine "
        "seiner ist sind"
    ),
    "fr": (
        "le la les un une des du de et ou mais à au aux en dans par pour sur avec sans que "
        "qui dont ce cette ces son sa ses leur leurs si comme entre est sont"
    ),
    "es": (
        "el la los las un una unos unas de del y e o u pero a al en con por para sin sobre "
        "entre que su sus como si cuando es son"
    ),
    "pt": (
        "o a os as um uma de do da dos das e ou mas em no na nos nas com por para sem que "
        "seu sua como se entre ao à é são"
    ),
    "it": (
        "il lo la i gli le un uno una di del della dei delle dello e o ma a al alla in nel "
        "nella con per su che come se tra fra sul sulla è sono"
    ),
    "nl": ("de het een en of maar van in met voor door bij dat die als om te hun tussen is zijn"),
    "sv": (
        "en ett den det de och eller men av till i på med för från som att om sin sitt sina "
        "mellan är"
    ),
    "pl": (
        "i oraz lub albo ale w we z ze na do od przez dla po o że który która które jak a "
        "między jest są"
    ),
    "cs": ("a i nebo ale v ve z ze na do od pro po o že který která které jak mezi k s je jsou"),
    "ru": (
        "и или но а в во на с со к ко от до по о об из у за для при что как который которая "
        "которые между"
    ),
    "uk": "і й та або але а в у на з із до від по про за для при що як який яка які між",
    "tr": "ve veya ile ama bir bu her için",
    "id": "dan atau tetapi yang di ke dari untuk dengan pada dalam oleh",
    "vi": "và hoặc nhưng của các những trong với cho từ là một",
    "el": "ο η το οι τα του της των τον την και ή αλλά να που με σε για από στο στη στην",
    "ar": "و أو في من إلى على عن مع أن التي الذي بين ما هذا هذه",
    "hi": "और या का की के को से में पर कि एक जो",
}

# Scripts that join such words to others, or use no spaces: the last letters.
UNFINISHED_LETTERS = (
    r"(?:[的和与及或在对把将被其于从向由]|[ぁ-んァ-ン一-鿿](?:の|を|が|は|に|と|で|や|へ)"
    r"|[가-힣](?:을|를|의|와|과)|\s및)$"
)


def compile_all(patterns: Mapping[str, str]) -> re.Pattern[str]:
    """One pattern that finds any of them; line breaks in them only fold long lines."""
    folded = ("".join(line.lstrip() for line in part.splitlines()) for part in patterns.values())
    return re.compile("|".join(f"(?:{part})" for part in folded), re.IGNORECASE)
